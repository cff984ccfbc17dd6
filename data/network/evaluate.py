#!/usr/bin/env python3
"""Measures networks as MODEL_CARD.md reports them: the same garment in two photos, and the class of a garment.

    evaluate.py --pairs FOLDER --clothing FOLDER --network hemnet.onnx
    evaluate.py --pairs FOLDER --clothing FOLDER --network mobilenet.onnx --preprocess "fit=stretch crop=224 ..."
    evaluate.py --pairs FOLDER --clothing FOLDER --manifests OUT

Needs NumPy, Pillow, onnx and onnxruntime. Preprocessing is read from the network's metadata where it has any.
--manifests writes the same galleries for `hemline ingest --manifest`, so that white-box features can be measured on
them by `hemline evaluate --match item`.
Galleries: all shop photos together ("pooled"), those of the query's category, and pooled with every photo of clothing
but hats and shoes added ("hard"). Right means the same item. Ties count as wrong.
"""
import argparse
import csv
import math
import os

import numpy as np
from PIL import Image

TOPS = (1, 5, 20)


def preprocess(text):
    """The function from a path to a network's input that a `hemline.preprocess` line describes."""
    o = dict(word.split("=") for word in text.split())
    mean, std = (np.array([float(v) for v in o[k].split(",")], np.float32) for k in ("mean", "std"))

    def read(path):
        photo = Image.open(path).convert("RGB")
        if o["fit"] == "stretch":
            width, _, height = o["crop"].partition("x")
            photo = photo.resize((int(width), int(height or width)), Image.BILINEAR)
        else:  # torchvision's Resize and CenterCrop
            side, crop, (w, h) = int(o["resize"]), int(o["crop"]), photo.size
            photo = photo.resize((side, int(side * h / w)) if w <= h else (int(side * w / h), side), Image.BILINEAR)
            left, top = round((photo.width - crop) / 2), round((photo.height - crop) / 2)
            photo = photo.crop((left, top, left + crop, top + crop))
        x = (np.asarray(photo, np.float32) / float(o["scale"]) - mean) / std
        return np.ascontiguousarray(x.transpose(2, 0, 1))

    return read


def embed(network, line, paths):
    import onnx
    import onnxruntime
    if not line:
        line = next(p.value for p in onnx.load(network).metadata_props if p.key == "hemline.preprocess")
    read, session = preprocess(line), onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return np.stack([session.run(["features"], {"input": read(p)[None]})[0][0] for p in paths]).astype(np.float64)


def distances(q, g, name):
    if name == "l1":
        return np.stack([np.abs(g - row).sum(1) for row in q])
    if name == "cosine":
        q, g = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (q, g))
        return 1 - q @ g.T
    return (q ** 2).sum(1)[:, None] + (g ** 2).sum(1) - 2 * q @ g.T


def ranks(d, right):
    """Rank, from 0, of the nearest right row of each query; right: bool [queries, gallery]."""
    best = np.where(right, d, np.inf).min(1, keepdims=True)
    return (~right & (d <= best)).sum(1)


def wilson(hits, n, z=1.959964):
    p = hits / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return 100 * (middle - half) / (1 + z * z / n), 100 * (middle + half) / (1 + z * z / n)


def row(title, rank, gallery, tops=TOPS):
    cells = []
    for k in tops:
        hits = int((rank < k).sum())
        low, high = wilson(hits, len(rank))
        cells.append(f"top-{k} {100 * hits / len(rank):5.1f} ({low:.1f}-{high:.1f})")
    print(f"{title:28} {len(rank):4} queries, {gallery:5} in gallery: " + "  ".join(cells), flush=True)


def read_pairs(folder):
    """(path, item, category) of the query photos and of the shop photos, each photo once."""
    query, shop = {}, {}
    with open(os.path.join(folder, "pairs.tsv"), encoding="utf-8") as f:
        for r in csv.DictReader(f, delimiter="\t"):
            query[r["query_image"]] = (r["item_id"], r["category"])
            shop[r["shop_image"]] = (r["item_id"], r["category"])
    return [[(os.path.abspath(os.path.join(folder, p)), *v) for p, v in s.items()] for s in (query, shop)]


def read_clothing(folder, splits):
    """(path, class) of the photos of splits."""
    return [(os.path.abspath(os.path.join(folder, s, c, f)), c) for s in splits
            for c in sorted(os.listdir(os.path.join(folder, s)))
            for f in sorted(os.listdir(os.path.join(folder, s, c)))]


def write_manifests(out, query, shop, others):
    os.makedirs(out, exist_ok=True)
    rows = [(p, i, c, d) for d, s in (("shop", shop), ("consumer", query)) for p, i, c in s]
    extra = [(p, os.path.basename(p), "", "shop") for p, c in others]
    for name, keep, category in (("pooled", rows, False), ("category", rows, True), ("hard", rows + extra, False)):
        with open(os.path.join(out, name + ".tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\tdomain" + ("\tcategory" if category else "") + "\n")
            for p, i, c, d in keep:
                f.write(f"{p}\t{i}\t{d}" + (f"\t{c}" if category else "") + "\n")


def report(vectors, query, shop, others, clothing):
    """Prints every row of the card for one network; vectors: a dict of path to vector."""
    q, g, e = (np.stack([vectors[r[0]] for r in s]) for s in (query, shop, others))
    item, of_shop = (np.array([r[1] for r in s]) for s in (query, shop))
    kind, kind_of_shop = (np.array([r[2] for r in s]) for s in (query, shop))
    right = item[:, None] == of_shop[None]
    for name in ("l1", "l2", "cosine"):
        d = distances(q, g, name)
        row(f"pooled, {name}", ranks(d, right), len(g))
        for k in sorted(set(kind)):
            a, b = kind == k, kind_of_shop == k
            row(f"  {k}, {name}", ranks(d[a][:, b], right[a][:, b]), int(b.sum()))
        d = np.concatenate([d, distances(q, e, name)], 1)
        hard = ranks(d, np.concatenate([right, np.zeros((len(q), len(e)), bool)], 1))
        row(f"hard, {name}", hard, d.shape[1])
    test, rest = clothing
    d = distances(np.stack([vectors[p] for p, _ in test]), np.stack([vectors[p] for p, _ in rest]), "cosine")
    same = np.array([c for _, c in test])[:, None] == np.array([c for _, c in rest])[None]
    row("class of clothing, cosine", ranks(d, same), len(rest), (1, 5))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", required=True, help="folder with pairs.tsv and its images")
    p.add_argument("--clothing", required=True, help="folder with train, validation and test photos by class")
    p.add_argument("--network", help="ONNX file with input `input` and output `features`")
    p.add_argument("--preprocess", help="preprocessing of a network whose file does not name its own")
    p.add_argument("--manifests", help="write manifests for hemline into this folder")
    a = p.parse_args()
    query, shop = read_pairs(a.pairs)
    test, rest = read_clothing(a.clothing, ["test"]), read_clothing(a.clothing, ["train", "validation"])
    others = [r for r in test + rest if r[1] not in ("hat", "shoes")]
    if a.manifests:
        write_manifests(a.manifests, query, shop, others)
    if a.network:
        paths = sorted({r[0] for s in (query, shop, test, rest) for r in s})
        report(dict(zip(paths, embed(a.network, a.preprocess, paths))), query, shop, others, (test, rest))


if __name__ == "__main__":
    main()
