"""Small ONNX files, written field by field (onnx.proto3): no package is needed for it."""
import struct


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """A number, or text, bytes or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def value_info(name, dims):
    shape = b"".join(field(1, field(1, d) if d else field(2, "N")) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def node(op, inputs, output):
    return b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, f"{op}_{output}") + field(4, op)


def weights(name, dims, seed):
    values, state = [], seed
    count = 1
    for d in dims:
        count *= d
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state / 2**31 - 1)
    return b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(9, struct.pack(f"<{count}f", *values))


def classifier(side=16, channels=12, seed=1, metadata=None, extra=b""):
    """Conv 5x5 -> Relu -> GlobalAveragePool -> Flatten ("flat", the feature) -> Gemm."""
    graph = [field(1, node("Conv", ["image", "conv.w"], "conv")), field(1, node("Relu", ["conv"], "relu")),
             field(1, node("GlobalAveragePool", ["relu"], "pooled")), field(1, node("Flatten", ["pooled"], "flat")),
             field(1, node("Gemm", ["flat", "fc.w"], "scores")), field(2, "test"),
             field(5, weights("conv.w", [channels, 3, 5, 5], seed)), field(5, weights("fc.w", [channels, 4], seed + 1)),
             field(11, value_info("image", [1, 3, side, side])), field(12, value_info("scores", [1, 4])), extra]
    properties = [field(14, field(1, k) + field(2, v)) for k, v in (metadata or {}).items()]
    return field(1, 7) + field(8, field(2, 13)) + field(7, b"".join(graph)) + b"".join(properties)
