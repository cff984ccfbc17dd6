"""The whole path on made-up Fashion-MNIST files, as a user types it."""
import math
import os
import struct

import support

TRAIN, T10K = range(400), range(1000, 1060)
CATEGORIES = ("upper", "lower", "upper", "dress", "upper", "shoes", "upper", "shoes", "bag", "shoes")


class Idx(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        support.write_idx(cls.folder, "train", TRAIN)
        support.write_idx(cls.folder, "t10k", T10K)
        cls.catalog, cls.store = cls.at("fm.h5"), cls.at("fm.store")
        cls.said = cls.hemline("ingest", cls.catalog, "--idx", cls.folder, "--features", "pixels")[1]
        cls.hemline("index", cls.catalog, "-o", cls.store)

    def nearest(self, number, category=None):
        """The oracle: every training photo's distance, nearest first."""
        query, name = support.pixels(number), os.path.basename(self.folder)
        found = [(math.dist(query, support.pixels(n)), f"{name}/train-{n:05d}") for n in TRAIN
                 if category in (None, CATEGORIES[n % 10])]
        return sorted(found)

    def check_hits(self, answer, wanted):
        self.assertEqual([h["item_id"] for h in answer["hits"]], [item for _, item in wanted])
        self.assertEqual([h["rank"] for h in answer["hits"]], list(range(1, len(wanted) + 1)))
        for hit, (distance, _) in zip(answer["hits"], wanted):
            self.assertAlmostEqual(hit["distance"] / distance, 1, places=5)

    def test_ingest_counts_and_does_not_repeat(self):
        self.assertIn("460 photos (460 added, 0 already there, 0 rejected)", self.said)
        with open(self.catalog, "rb") as f:
            before = f.read()
        out, err = self.hemline("ingest", self.catalog, "--idx", self.folder, "--features", "pixels")
        self.assertEqual(out, "")
        self.assertIn("460 photos (0 added, 460 already there, 0 rejected)", err)
        with open(self.catalog, "rb") as f:
            self.assertEqual(before, f.read())

    def test_other_features_are_refused(self):
        err = self.hemline("ingest", self.catalog, "--idx", self.folder, "--features", "hog", code=1)[1]
        self.assertIn("ingest with the same features", err)

    def test_info_of_a_catalogue(self):
        info = self.json("info", self.catalog, "--json")
        self.assertEqual((info["kind"], info["photos"], info["rejected"]), ("catalogue", 460, []))
        self.assertEqual({c["name"]: (c["shop"], c["consumer"]) for c in info["categories"]},
                         {"upper": (160, 24), "lower": (40, 6), "dress": (40, 6), "shoes": (120, 18), "bag": (40, 6)})
        self.assertEqual([(s["name"], s["dim"]) for s in info["spaces"]], [("pixels", 784)])
        out = self.hemline("info", self.catalog)[0]
        self.assertIn("460 photos, 0 rejected", out)
        self.assertIn("pixels", out)
        self.assertEqual(self.hemline("info", self.catalog, "--rejected")[0], "")

    def test_info_of_a_store(self):
        info = self.json("info", self.store, "--json")
        self.assertEqual(info["kind"], "store")
        self.assertEqual(sorted(c["name"] for c in info["manifest"]["categories"]), sorted(set(CATEGORIES)))
        self.assertIn("pixels", self.hemline("info", self.store)[0])

    def test_a_row_finds_its_nearest_in_all_categories(self):
        for row in (400, 437):
            answer, = self.json("query", self.store, "--row", row, "-k", 7, "--json")
            self.check_hits(answer, self.nearest(T10K[row - 400])[:7])
            self.assertEqual((answer["found"], answer["wanted"], answer["shortfall"]), (7, 7, None))
            self.assertEqual(answer["gallery_photos"], 400)

    def test_one_category_and_exact(self):
        for more in ((), ("--exact",)):
            answer, = self.json("query", self.store, "--row", 403, "-k", 5, "-c", "dress", "--json", *more)
            self.check_hits(answer, self.nearest(1003, "dress")[:5])
            self.assertEqual((answer["gallery_photos"], answer["categories_searched"]), (40, 1))

    def test_a_shop_row_leaves_itself_out(self):
        answer, = self.json("query", self.store, "--row", 17, "-k", 3, "--json")
        self.check_hits(answer, self.nearest(17)[1:4])

    def test_a_vector_from_a_file_and_from_stdin(self):
        vector = struct.pack("<784f", *support.pixels(1005))
        with open(self.at("v.f32"), "wb") as f:
            f.write(vector)
        answer, = self.json("query", self.store, "--vector", self.at("v.f32"), "-k", 4, "--json")
        self.check_hits(answer, self.nearest(1005)[:4])
        out = self.hemline("query", self.store, "--vector", "-", "-k", 4, stdin=vector)[0]
        self.assertEqual([line.split()[2] for line in out.splitlines()[1:]], [i for _, i in self.nearest(1005)[:4]])

    def test_a_vector_of_another_length(self):
        for size in (0, 3, 783 * 4, 785 * 4):
            out, err = self.hemline("query", self.store, "--vector", "-", code=1, stdin=bytes(size))
            self.assertEqual(out, "")
            self.assertIn("3136 bytes", err)

    def test_more_than_there_is(self):
        answer, = self.json("query", self.store, "--row", 400, "-k", 100, "-c", "bag", "--json")
        self.assertEqual((answer["found"], answer["wanted"]), (40, 100))
        self.assertIn("hold fewer", answer["shortfall"])
        self.check_hits(answer, self.nearest(1000, "bag"))
        err = self.hemline("query", self.store, "--row", 400, "-k", 100, "-c", "bag")[1]
        self.assertIn("40 of 100 wanted (the categories searched hold fewer)", err)

    def test_an_unknown_category_lists_those_there_are(self):
        out, err = self.hemline("query", self.store, "--row", 400, "-c", "hats", code=1)
        self.assertEqual(out, "")
        for name in ("hats", *set(CATEGORIES)):
            self.assertIn(name, err)

    def test_a_row_that_is_not_there(self):
        self.assertIn("rows are 0 to 459", self.hemline("query", self.store, "--row", 460, code=1)[1])

    def test_evaluate_a_catalogue(self):
        answer = self.json("evaluate", self.catalog, "--match", "label", "--json", "-q")
        self.assertEqual(answer["right_means"], "same label")
        self.assertFalse(answer["leave_one_out"])
        self.assertEqual({r["category"] for r in answer["rows"]} - {"all", "overall"}, set(CATEGORIES))
        for row in answer["rows"]:
            rates = [cut["accuracy"] for cut in row["top"]]
            self.assertEqual(rates, sorted(rates))
            for cut in row["top"]:
                self.assertTrue(0 <= cut["low"] <= cut["accuracy"] <= cut["high"] <= 1)
        self.assertIn("dress", self.hemline("evaluate", self.catalog, "--match", "label", "-q")[0])

    def test_evaluate_a_store(self):
        for row in self.json("evaluate", self.store, "--json", "-q"):
            self.assertEqual((row["kind"], row["recall"]), ("flat", 1))

    def test_verify_finds_damage(self):
        for path in (self.catalog, self.store):
            self.assertEqual(self.hemline("verify", path)[0], f"{path}: intact\n")
        with open(self.catalog, "rb") as f:
            content = bytearray(f.read())
        vectors = content.find(struct.pack("<784f", *support.pixels(0)))
        for at, words in ((vectors + 40, "space pixels, rows 0 to 459"), (len(content) - 1, "checksum")):
            damaged = bytearray(content)
            damaged[at] ^= 1
            with open(self.at("damaged.h5"), "wb") as f:
                f.write(damaged)
            out, err = self.hemline("verify", self.at("damaged.h5"), code=1)
            self.assertEqual(out, "")
            self.assertIn(words, err)

    def test_verify_finds_damage_in_a_store(self):
        self.hemline("index", self.catalog, "-o", self.at("damaged.store"))
        largest = max((os.path.join(d, f) for d, _, files in os.walk(self.at("damaged.store")) for f in files),
                      key=os.path.getsize)
        with open(largest, "r+b") as f:
            f.seek(os.path.getsize(largest) // 2)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))
        self.assertIn(os.path.basename(largest), self.hemline("verify", self.at("damaged.store"), code=1)[1])

    def test_several_spaces(self):
        path = self.at("two.h5")
        self.hemline("ingest", path, "--idx", self.folder, "-f", "pixels", "-f", "hog,harris")
        self.assertEqual([s["name"] for s in self.json("info", path, "--json")["spaces"]], ["hog+harris", "pixels"])
        self.assertIn("hog+harris, pixels", self.hemline("index", path, "-o", self.at("x"), code=1)[1])
        self.hemline("index", path, "-o", self.at("two.store"), "--space", "pixels", "--distance", "l1")
        answer, = self.json("query", self.at("two.store"), "--row", 400, "--json")
        self.assertEqual((answer["space"], answer["distance"]), ("pixels", "l1"))


if __name__ == "__main__":
    support.main()
