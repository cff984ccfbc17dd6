"""A client of the Unix socket, written from docs/protocol.md alone: it shares nothing with the C code."""
import socket
import struct

HEADER = struct.Struct("<2sBBIQ")
SEARCH = struct.Struct("<4I d Q 4d 8I")
REPLY = struct.Struct("<6I Q 3d 4Q 2I")
ANSWER = struct.Struct("<4I 4Q d")
HIT = struct.Struct("<Q 4I 3f I")
INFO = struct.Struct("<3Q d 12I")
CATEGORY = struct.Struct("<2I Q")


def pad(data):
    return data + bytes(-len(data) % 8)


def search_body(vectors=None, photo=None, item=None, box=None, parts=False, categories=(), labels=(), k=0, rerank=0,
                min_probability=0.0, leave_out_row=None, exact=False, photos=False, plain=False):
    """vectors: a list of lists of numbers."""
    text, offsets = bytearray(), []
    for string in ([item] if item is not None else []) + list(categories) + list(labels):
        offsets.append(len(text))
        text += string.encode() + b"\0"
    named = offsets[1:] if item is not None else offsets
    flags = exact | photos << 1 | (leave_out_row is not None) << 2 | plain << 3 | (box is not None) << 4 | parts << 5
    payload = photo or b"".join(struct.pack(f"<{len(v)}f", *v) for v in vectors or ())
    kind = 0 if vectors else 1 if photo else 2
    head = SEARCH.pack(kind, flags, k, rerank, min_probability, leave_out_row or 0, *(box or (0, 0, 0, 0)),
                       len(vectors or ()), len(vectors[0]) if vectors else 0, len(photo or b""), 0,
                       len(categories), len(labels), len(text), 0)
    return head + pad(payload) + pad(struct.pack(f"<{len(named)}I", *named)) + pad(bytes(text))


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Reply:
    """Type, id and what a reply says; raises Refused where that is an error."""

    def __init__(self, kind, number, body):
        self.kind, self.number = kind, number
        (status, answers, generation, message, size, self.certificate_k, self.certificate_queries, *rest) = \
            REPLY.unpack_from(body)
        self.overlap, self.ns, self.sizes = rest[:3], rest[3:7], rest[7:9]
        self.text = body[len(body) - size:]
        self.records = body[REPLY.size:len(body) - size]
        self.generation = self.string(generation)
        if status:
            raise Refused(status, self.string(message))
        self.answers = list(self.read_answers(answers)) if kind == 129 else None
        self.info = self.read_info() if kind == 130 else None

    def string(self, offset):
        return self.text[offset:self.text.index(b"\0", offset)].decode()

    def read_answers(self, count):
        at, (record, entry) = 0, self.sizes
        for _ in range(count):
            names = ("found", "wanted", "shortfall", "no_match", "categories", "fallbacks", "gallery", "scored",
                     "threshold")
            answer = dict(zip(names, ANSWER.unpack_from(self.records, at)))
            at += record
            answer["hits"] = [self.read_hit(at + i * entry) for i in range(answer["found"])]
            at += answer["found"] * entry
            yield answer
        assert at == len(self.records), (at, len(self.records))

    def read_hit(self, at):
        row, item, category, label, path, distance, score, probability, place = HIT.unpack_from(self.records, at)
        return {"row": row, "item_id": self.string(item), "category": self.string(category),
                "label": self.string(label), "path": self.string(path), "distance": distance, "score": score,
                "probability": probability, "place": place}

    def read_info(self):
        photos, items, request_max, false_accept, dim, distance, metric, count, *names, in_flight = \
            INFO.unpack_from(self.records)
        keys = ("space", "space_hash", "features", "catalog", "metric_about", "kernel", "version")
        at = [self.sizes[0] + i * self.sizes[1] for i in range(count)]
        entries = [CATEGORY.unpack_from(self.records, a) for a in at]
        return {"photos": photos, "items": items, "request_bytes_max": request_max, "false_accept": false_accept,
                "dim": dim, "distance": distance, "metric": bool(metric), "in_flight_max": in_flight,
                **{k: self.string(n) for k, n in zip(keys, names)},
                "categories": {self.string(n): (self.string(k), p) for n, k, p in entries}}


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.number = 0

    def close(self):
        self.socket.close()

    def send(self, kind, body=b""):
        self.number += 1
        self.socket.sendall(HEADER.pack(b"HM", 1, kind, len(body), self.number) + body)
        return self.number

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError(f"{len(data)} of {size} bytes")
            data += more
        return bytes(data)

    def receive(self):
        magic, version, kind, size, number = HEADER.unpack(self.read(HEADER.size))
        assert (magic, version, size % 8) == (b"HM", 1, 0), (magic, version, size)
        return Reply(kind, number, self.read(size))

    def ask(self, kind, body=b""):
        number = self.send(kind, body)
        reply = self.receive()
        assert (reply.kind, reply.number) == (kind + 128, number)
        return reply

    def search(self, **options):
        return self.ask(1, search_body(**options))

    def info(self):
        return self.ask(2).info

    def ping(self):
        return self.ask(3).generation
