"""A shop without customers' photos: views of its photos, a catalogue of both, the experiments, and a map."""
import os
import re
import struct

import support

SIZE = {"width": 80, "height": 100}
SHOP = 60


class Views(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(SHOP):
            support.write_png(cls.at(f"p{i}.png"), i, **SIZE)
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\tcategory\n")
            f.writelines(f"p{i}.png\titem{i}\t{('dress', 'skirt')[i % 2]}\n" for i in range(SHOP))
        cls.shop = cls.at("shop.h5")
        done = cls.run_hemline("ingest", cls.shop, "--manifest", cls.at("photos.tsv"), "-q")
        if b"without libvips" in cls.run_hemline("info", cls.shop, "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")
        assert done.returncode == 0, done
        cls.out = cls.hemline("views", cls.shop, "-o", cls.at("practice"), "--each", 3, "--strength", 0.5, "-q")[0]
        cls.practice = cls.at("practice.h5")
        cls.hemline("ingest", cls.practice, "--manifest", cls.at("practice/manifest.tsv"), "-f", "color", "-q")

    def test_views_are_listed_with_their_items_and_splits(self):
        self.assertIn("60 shop photos, 180 made views of 60 of them", self.out)
        with open(self.at("practice/manifest.tsv"), encoding="utf-8") as f:
            rows = [line.rstrip("\n").split("\t") for line in f][1:]
        self.assertEqual(len(rows), 4 * SHOP)
        splits = {}
        for path, item, category, domain, split, _, box in rows:
            self.assertEqual(box, "")
            self.assertEqual(splits.setdefault(item, split), split)
            self.assertEqual(category, ("dress", "skirt")[int(item[4:]) % 2])
            self.assertEqual(domain, "shop" if path.startswith("/") else "consumer")
        self.assertEqual(set(splits.values()), {"train", "validation", "test"})
        self.assertGreater(list(splits.values()).count("train"), SHOP / 3)

    def test_a_catalogue_of_idx_photos_needs_few_files(self):
        folder = self.at("idx")
        os.mkdir(folder)
        support.write_idx(folder, "train", range(150))
        self.hemline("ingest", self.at("idx.h5"), "--idx", folder, "-f", "pixels", "-q")
        out = self.hemline("views", self.at("idx.h5"), "-o", self.at("small"), "--idx", folder, "--limit", 50, "--each",
                           2, "-q")[0]
        self.assertIn("150 shop photos, 100 made views of 50 of them", out)
        self.assertLess(len(os.listdir(self.at("small"))), 8)
        said = self.hemline("ingest", self.at("small.h5"), "--manifest", self.at("small/manifest.tsv"), "-f", "pixels",
                            "-q")
        self.assertIn("250 photos (250 added", "".join(said))
        self.assertIn("--idx", self.hemline("views", self.at("idx.h5"), "-o", self.at("none"), "-q", code=1)[1])

    def test_the_experiments_are_one_command(self):
        page = self.at("experiments.html")
        found = self.json("evaluate", self.practice, "--experiments", "--hidden", 4, "--epochs", 2, "--report", page,
                          "--sheets", 1, "--json", "-q")
        self.assertEqual(found["splits"], "marked")
        rows = found["rows"]
        self.assertEqual({r["nearest_by"] for r in rows}, {"L1", "L2", "cosine", "Siamese"})
        for category in ("dress", "skirt", "all"):
            mine = [r for r in rows if r["category"] == category]
            self.assertEqual(len(mine), 4)
            self.assertEqual(len({(r["queries"], r["gallery"]) for r in mine}), 1)
        self.assertEqual(rows[-1]["gallery"], SHOP)
        self.assertEqual(len(found["gains"]), 1)
        with open(page, encoding="utf-8") as f:
            text = f.read()
        self.assertIn("Do probabilities come true?", text)
        self.assertIn("<article", text)
        self.assertNotIn("<script", text)
        out = self.hemline("evaluate", self.practice, "--experiments", "--hidden", 4, "--epochs", 2, "-q")[0]
        self.assertIn("Siamese minus the best plain distance", out)

    def test_the_map_as_points_and_as_photos(self):
        out = self.hemline("plot", "tsne", self.practice, "-o", self.at("map.html"), "--thumbnails", "-q")[0]
        self.assertIn("240 of 240 photos", out)
        with open(self.at("map.html"), encoding="utf-8") as f:
            self.assertEqual(len(re.findall("data:image/(?:svg.xml|png);base64", f.read())), 2)
        self.hemline("plot", "tsne", self.practice, "-o", self.at("a.svg"), "--domain", "consumer", "-q")
        self.hemline("plot", "tsne", self.practice, "-o", self.at("b.svg"), "--domain", "consumer", "--threads", 1, "-q")
        with open(self.at("a.svg"), encoding="utf-8") as a, open(self.at("b.svg"), encoding="utf-8") as b:
            text = a.read()
            self.assertEqual(text, b.read())
        self.assertIn("dress", text)
        for name, more in (("c.png", ()), ("d.png", ("--thumbnails",))):
            self.hemline("plot", "tsne", self.practice, "-o", self.at(name), "--points", 100, "-q", *more)
            with open(self.at(name), "rb") as f:
                head = f.read(24)
            self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
            self.assertGreater(struct.unpack(">I", head[16:20])[0], 500)

    def test_wrong_usage(self):
        for arguments in (("views", self.shop), ("views", "-o", "x"), ("views", self.shop, "-o", "x", "--strength", 3),
                          ("plot", self.shop, "-o", "x.svg"), ("plot", "tsne", self.shop, "-o", "x.txt"),
                          ("plot", "tsne", self.shop, "-o", "x.svg", "--thumbnails"),
                          ("evaluate", self.practice, "--epochs", 2),
                          ("evaluate", self.practice, "--experiments", "--match", "label")):
            self.hemline(*arguments, code=2)
        self.assertIn("hemline views", self.hemline("evaluate", self.shop, "--experiments", "-q", code=1)[1])
        self.assertIn("too few", self.hemline("plot", "tsne", self.shop, "-o", self.at("x.svg"), "--points", 40, "-q",
                                              code=1)[1])


if __name__ == "__main__":
    support.main()
