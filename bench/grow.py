#!/usr/bin/python3
"""grow.py COUNT OUT.bvecs|OUT.npy: COUNT vectors for measuring how cost grows with a gallery: 784 bytes each, or (.npy)
the 128 floats of them in which the photos of Fashion-MNIST differ most (PCA).

The first 60,000 are the training photos of Fashion-MNIST as they are. Every other one is made of two of them of the
same class: each is shifted by up to two pixels and perhaps mirrored, they are mixed (up to 30% of the second), and the
result is made up to 15% brighter or darker. So neighbourhoods stay those of garments: between photos of one kind lie
more photos of that kind, and a larger gallery has nearer neighbours, as a larger shop has. OUT-queries gets the
10,000 test photos. The same COUNT gives the same bytes; a smaller one a prefix of a larger one's.

Prints how hard the result is for the queries: the mean distance over the distance of the nearest (relative contrast, He,
Kumar and Chang 2012) and the local intrinsic dimension of the 100 nearest (Amsaleg and others 2015), of 40 queries.
"""
import gzip
import sys

import numpy as np

FOLDER = "/usr/share/datasets/fashion-mnist"
SIDE, CHUNK = 28, 20000


def read(name, offset):
    with gzip.open(f"{FOLDER}/{name}") as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset)


def shifted(photos, random):
    """Each by up to two pixels; every second one mirrored."""
    out = np.zeros_like(photos)
    dx, dy = random.integers(-2, 3, (2, len(photos)))
    for x in range(-2, 3):
        for y in range(-2, 3):
            here = (dx == x) & (dy == y)
            moved = np.pad(photos[here], ((0, 0), (2, 2), (2, 2)))
            out[here] = moved[:, 2 - y : 2 - y + SIDE, 2 - x : 2 - x + SIDE]
    mirrored = random.random(len(photos)) < 0.5
    out[mirrored] = out[mirrored, :, ::-1]
    return out


def made(number, photos, labels, order):
    """The number-th chunk of made ones."""
    random = np.random.default_rng(number)
    first = random.integers(0, len(photos), CHUNK)
    second = np.empty_like(first)
    for label, members in order.items():
        here = labels[first] == label
        second[here] = members[random.integers(0, len(members), here.sum())]
    share = 0.3 * random.random((CHUNK, 1, 1), np.float32)
    light = 0.85 + 0.3 * random.random((CHUNK, 1, 1), np.float32)
    mixed = (1 - share) * shifted(photos[first], random) + share * shifted(photos[second], random)
    return np.clip(np.rint(mixed * light), 0, 255).astype(np.uint8).reshape(CHUNK, -1)


def axes(photos):
    """Of the 128 largest variances, [784, 128]; the photos' own, so that every COUNT has the same."""
    flat = photos.reshape(len(photos), -1).astype(np.float64)
    return np.linalg.eigh(np.cov(flat, rowvar=False))[1][:, :-129:-1].astype(np.float32)


def write_bytes(path, rows):
    with open(path, "wb") as file:
        for part in np.array_split(rows, 1 + len(rows) // CHUNK):
            write_records(file, part)


def write_records(file, rows):
    record = np.zeros(len(rows), [("dim", "<i4"), ("at", "u1", rows.shape[1])])
    record["dim"], record["at"] = rows.shape[1], rows
    record.tofile(file)


def hardness(rows, queries):
    norms = (rows.astype(np.float32) ** 2).sum(1)
    contrast, dimension = [], []
    for q in queries.astype(np.float32):
        squares = norms - 2 * np.concatenate(
            [part.astype(np.float32) @ q for part in np.array_split(rows, 1 + len(rows) // CHUNK)]) + q @ q
        near = np.sqrt(np.maximum(np.sort(np.partition(squares, 100)[:101]), 1e-6))
        contrast.append(np.sqrt(np.maximum(squares, 0)).mean() / near[0])
        dimension.append(-1 / np.mean(np.log(near[:100] / near[100])))
    return np.median(contrast), np.median(dimension)


def main():
    count, path = int(sys.argv[1]), sys.argv[2]
    photos = read("train-images-idx3-ubyte.gz", 16).reshape(-1, SIDE, SIDE)
    labels = read("train-labels-idx1-ubyte.gz", 8)
    queries = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, SIDE * SIDE)
    order = {label: np.flatnonzero(labels == label) for label in range(10)}
    kept = []
    for at in range(0, count, CHUNK):
        rows = photos[at : at + CHUNK] if at < len(photos) else made(at, photos, labels, order)
        kept.append(rows.reshape(-1, SIDE * SIDE)[: count - at])
    rows = np.concatenate(kept)
    stem, ending = path.rsplit(".", 1)
    if ending == "npy":
        turn = axes(photos)
        rows = np.concatenate([part @ turn for part in np.array_split(rows, 1 + count // CHUNK)])
        queries = queries @ turn
        np.save(path, rows)
        np.save(f"{stem}-queries.npy", queries)
    else:
        write_bytes(path, rows)
        write_bytes(f"{stem}-queries.bvecs", queries)
    contrast, dimension = hardness(rows, queries[:: len(queries) // 40])
    print(f"{count} vectors: relative contrast {contrast:.2f}, local intrinsic dimension {dimension:.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
