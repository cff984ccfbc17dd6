"""hemline train on a small shop of ready-made vectors: 6 values that say what a photo shows among 30 of noise."""
import os
import random
import struct

import support

SIGNAL, DIM, ITEMS = 6, 36, 400


def write_shop(folder, name, signal, items=ITEMS):
    """NAME and photos.tsv: a photo of a customer and one of the shop for each item."""
    rng = random.Random(1)
    rows, lines = [], ["path\titem_id\tcategory\tdomain"]
    for item in range(items):
        shows = [rng.gauss(0, 1) for _ in range(signal)]
        for domain in ("shop", "consumer"):
            rows.append([x + rng.gauss(0, 0.4) for x in shows] + [rng.gauss(0, 1.8) for _ in range(DIM - signal)])
            lines.append(f"{domain}/{item}.jpg\titem{item}\tdress\t{domain}")
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {DIM}), }}"
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    with open(os.path.join(folder, name), "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for row in rows:
            f.write(struct.pack(f"<{DIM}f", *row))
    with open(os.path.join(folder, "photos.tsv"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


class Train(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_shop(cls.folder, "vectors.npy", SIGNAL)
        cls.catalog = cls.at("shop.h5")
        cls.hemline("ingest", cls.catalog, "--vectors", cls.at("vectors.npy"), "--manifest", cls.at("photos.tsv"), "-q")

    def train(self, name, *options, **named):
        return self.hemline("train", self.catalog, "-o", self.at(name), "--hidden", 16, "--epochs", 8, "--threads", 2,
                            *options, **named)

    def test_it_says_what_was_learned(self):
        out, err = self.train("plain.metric", "-q")
        self.assertEqual(err, "")
        for word in ("l2", "l1", "cosine", "metric", "gain over the best plain distance", "is better than every plain"):
            self.assertIn(word, out)
        self.assertTrue(os.path.getsize(self.at("plain.metric")))

    def test_it_tells_of_every_epoch(self):
        _, err = self.train("epochs.metric")
        lines = [line for line in err.splitlines() if "top-20" in line]
        self.assertIn("before", lines[0])
        self.assertIn("loss", lines[1])
        self.assertGreaterEqual(len(lines), 2)

    def test_json_and_the_curve(self):
        curve = self.at("curve.html")
        result = self.json("train", self.catalog, "-o", self.at("json.metric"), "--hidden", 16, "--epochs", 5, "--seeds",
                           2, "--json", "-q", "--curve", curve)
        top = {c["name"]: c for c in result["top_20"]}
        self.assertTrue(result["better"])
        self.assertGreater(result["gain_low"], 0)
        self.assertGreater(top["metric"]["accuracy"], max(top[n]["accuracy"] for n in ("l2", "l1", "cosine")))
        self.assertLessEqual(top["metric"]["low"], top["metric"]["accuracy"])
        self.assertEqual({e["seed"] for e in result["epochs"]}, {1, 2})
        self.assertIsNone(result["epochs"][0]["loss"])
        with open(curve, encoding="utf-8") as f:
            self.assertEqual(f.read().count("<svg"), 2)

    def test_the_same_seed_gives_the_same_bytes(self):
        files = []
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            self.train(name, "-q", "--seed", seed)
            with open(self.at(name), "rb") as f:
                files.append(f.read())
        self.assertEqual(files[0], files[1])
        self.assertNotEqual(files[0], files[2])

    def test_a_metric_that_is_not_better_is_written_and_advice_given(self):
        write_shop(self.folder, "noise.npy", 0)  # nothing to learn
        noise = self.at("noise.h5")
        self.hemline("ingest", noise, "--vectors", self.at("noise.npy"), "--manifest", self.at("photos.tsv"), "-q")
        out, _ = self.hemline("train", noise, "-o", self.at("no.metric"), "--form", "l1", "--epochs", 2, "-q")
        self.assertIn("not shown to be better", out)
        self.assertIn("--tower", out)
        self.assertTrue(os.path.exists(self.at("no.metric")))

    def test_wrong_usage(self):
        for arguments in ((), (self.catalog,), (self.catalog, "-o", "m", "--dropout", "much"),
                          (self.catalog, "-o", "m", "--hidden", "-1"), ("a", "b", "-o", "m")):
            self.hemline("train", *arguments, code=2)
        _, err = self.hemline("train", self.catalog, "-o", "m", "--form", "deep", code=1)
        self.assertIn("head, l1 and l2", err)

    def test_a_catalogue_without_customers_says_so(self):
        catalog = self.at("only_shop.h5")
        self.hemline("ingest", catalog, "--vectors", self.at("vectors.npy"), "-q")
        _, err = self.hemline("train", catalog, "-o", self.at("x.metric"), code=1)
        self.assertIn("no consumer photos", err)
        self.assertFalse(os.path.exists(self.at("x.metric")))

    def test_export_onnx(self):
        self.train("export.metric", "-q")
        self.hemline("export-onnx", self.at("export.metric"), "-o", self.at("metric.onnx"))
        self.assertGreater(os.path.getsize(self.at("metric.onnx")), 16 * DIM * 4)
        self.hemline("export-onnx", self.at("export.metric"), code=2)
        self.hemline("export-onnx", self.catalog, "-o", self.at("no.onnx"), code=1)


if __name__ == "__main__":
    support.main()
