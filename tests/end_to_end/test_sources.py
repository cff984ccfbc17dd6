"""Photos from everywhere but a listing: folders, DeepFashion's layout, vectors; and the options that go with them."""
import os
import shutil
import struct

import support

FOLDERS = (("TOPS/T_Shirt", "upper", 1, "train"), ("TROUSERS/Shorts", "lower", 2, "val"),
           ("DRESSES/Dress", "dress", 3, "test"), ("DRESSES/Skirt", "skirt", 2, "test"), ("CLOTHING/Coat", "upper", 1, "test"))


class Folder(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i, name in enumerate(("shop/dress/red/front.png", "shop/dress/red/back.png", "shop/dress/blue.png",
                                  "shop/skirt/green.png", "consumer/dress/red.png")):
            os.makedirs(os.path.dirname(cls.at("tree/" + name)), exist_ok=True)
            support.write_png(cls.at("tree/" + name), i)
        for name, text in (("shop/dress/README", "hello"), ("shop/skirt/broken.jpg", "no photo")):
            with open(cls.at("tree/" + name), "w", encoding="utf-8") as f:
                f.write(text)
        cls.catalog, cls.store = cls.at("shop.h5"), cls.at("shop.store")
        cls.ingested = cls.run_hemline("ingest", cls.catalog, "--folder", cls.at("tree"), "--split", "test")
        if b"without libvips" in cls.run_hemline("info", cls.catalog, "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")

    def test_good_photos_are_in_and_broken_ones_are_listed(self):
        self.assertEqual(self.ingested.returncode, 3)
        self.assertIn("5 photos (5 added, 0 already there, 1 rejected)", self.ingested.stderr.decode())
        rejected, = self.json("info", self.catalog, "--json")["rejected"]
        self.assertEqual(rejected["path"], self.at("tree/shop/skirt/broken.jpg"))
        categories = {c["name"]: (c["shop"], c["consumer"]) for c in self.json("info", self.catalog, "--json")["categories"]}
        self.assertEqual(categories, {"dress": (3, 1), "skirt": (1, 0)})

    def test_the_same_command_again_adds_nothing(self):
        done = self.run_hemline("ingest", self.catalog, "--folder", self.at("tree/"), "--split", "test")
        self.assertIn("5 photos (0 added, 5 already there, 1 rejected)", done.stderr.decode())

    def test_a_photo_finds_its_item(self):
        self.hemline("index", self.catalog, "-o", self.store)
        answer, = self.json("query", self.store, self.at("tree/shop/dress/red/back.png"), "-k", 1, "--json")
        self.assertEqual((answer["hits"][0]["item_id"], answer["hits"][0]["category"]), ("red", "dress"))


class DeepFashion(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("Eval", "Anno", "Img/img"):
            os.makedirs(cls.at(name))
        pairs, boxes = [], []
        for i, (folder, _, kind, split) in enumerate(FOLDERS):
            item = f"id_{i + 1:08d}"
            names = [f"img/{folder}/{item}/{n}.jpg" for n in ("comsumer_01", "shop_01", "shop_02")]
            os.makedirs(cls.at(f"Img/img/{folder}/{item}"))
            for j, name in enumerate(names):
                support.write_png(cls.at("Img/" + name), 10 * i + j)
                boxes.append(f"{name}  {kind} {2 if j == 0 else 1} 002 003 030 025")
            pairs += [f"{names[0]}  {shop}  {item}  {split}" for shop in names[1:]]
        cls.write("Eval/list_eval_partition.txt", "image_pair_name_1 image_pair_name_2 item_id evaluation_status", pairs)
        cls.write("Anno/list_bbox_consumer2shop.txt", "image_name clothes_type source_type x_1 y_1 x_2 y_2", boxes)
        cls.catalog = cls.at("df.h5")
        cls.said = cls.run_hemline("ingest", cls.catalog, "--deepfashion", cls.folder, "--features", "color")
        if b"without libvips" in cls.run_hemline("info", cls.catalog, "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")

    @classmethod
    def write(cls, name, header, rows):
        with open(cls.at(name), "w", encoding="utf-8") as f:
            f.write(f"{len(rows)}\n{header}\n" + "".join(row + "\n" for row in rows))

    def test_every_photo_is_in_once_under_its_category(self):
        self.assertEqual(self.said.returncode, 0, self.said.stderr)
        self.assertIn("15 photos (15 added, 0 already there, 0 rejected)", self.said.stderr.decode())
        categories = {c["name"]: (c["shop"], c["consumer"]) for c in self.json("info", self.catalog, "--json")["categories"]}
        self.assertEqual(categories, {"upper": (4, 2), "lower": (2, 1), "dress": (2, 1), "skirt": (2, 1)})

    def test_boxes_can_be_left_out(self):
        path = self.at("whole.h5")
        self.hemline("ingest", path, "--deepfashion", self.folder, "--whole-photos", "--features", "color")
        with open(path, "rb") as a, open(self.catalog, "rb") as b:
            self.assertNotEqual(a.read(), b.read())

    def test_a_list_that_was_cut_is_refused(self):
        with open(self.at("Eval/list_eval_partition.txt"), "r+", encoding="utf-8") as f:
            whole = f.read()
            f.truncate(len(whole.rsplit("\n", 2)[0]) + 1)
        err = self.hemline("ingest", self.at("cut.h5"), "--deepfashion", self.folder, code=1)[1]
        self.assertIn("list_eval_partition.txt says it has 10 rows and has 9", err)
        with open(self.at("Eval/list_eval_partition.txt"), "w", encoding="utf-8") as f:
            f.write(whole)


class Vectors(support.Case):
    ROWS = [[(7 * i + 3 * j * j) % 101 / 8 for j in range(6)] for i in range(40)]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(cls.ROWS)}, 6), }}"
        header += " " * (-(len(header) + 11) % 64) + "\n"
        with open(cls.at("v.npy"), "wb") as f:
            f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
            for i, row in enumerate(cls.ROWS):
                f.write(struct.pack("<6f", *(row if i != 17 else [float("nan")] * 6)))
        with open(cls.at("what.csv"), "w", encoding="utf-8") as f:
            f.write("item_id,category\n" + "".join(f"sku-{i},{'dress' if i % 2 else 'skirt'}\n" for i in range(40)))

    def test_rows_become_photos_and_bad_ones_are_named(self):
        path = self.at("v.h5")
        err = self.hemline("ingest", path, "--vectors", self.at("v.npy"), "--manifest", self.at("what.csv"), "--space",
                           "mine", code=3)[1]
        self.assertIn("39 photos (39 added, 0 already there, 1 rejected)", err)
        info = self.json("info", path, "--json")
        self.assertEqual([(s["name"], s["dim"]) for s in info["spaces"]], [("mine", 6)])
        rejected, = info["rejected"]
        self.assertIn("row 17 of", rejected["reason"])
        again = self.hemline("ingest", path, "--vectors", self.at("v.npy"), "--manifest", self.at("what.csv"), "--space",
                             "mine", code=3)[1]
        self.assertIn("39 photos (0 added, 39 already there, 1 rejected)", again)
        err = self.hemline("ingest", path, "--vectors", self.at("v.npy"), "--space", "other", code=1)[1]
        self.assertIn("other", err)

    def test_a_vector_finds_its_row_and_a_photo_is_refused(self):
        path, store = self.at("q.h5"), self.at("q.store")
        self.hemline("ingest", path, "--vectors", self.at("v.npy"), "-q", code=3)
        self.hemline("index", path, "-o", store)
        with open(self.at("q.f32"), "wb") as f:
            f.write(struct.pack("<6f", *self.ROWS[23]))
        answer, = self.json("query", store, "--vector", self.at("q.f32"), "-k", 1, "--json")
        self.assertEqual((answer["hits"][0]["path"], answer["hits"][0]["distance"]), (self.at("v.npy") + "#23", 0))
        support.write_png(self.at("a.png"), 1)
        self.assertIn("ready-made", self.hemline("query", store, self.at("a.png"), code=1)[1])

    def test_rows_of_a_catalogue_that_changed_are_refused_until_it_is_indexed_again(self):
        path, store, old = self.at("r.h5"), self.at("r.store"), self.at("old.h5")
        self.hemline("ingest", path, "--vectors", self.at("v.npy"), "-q", code=3)
        self.hemline("index", path, "-o", store)
        shutil.copy(path, old)
        row = ("query", store, "--row", 3, "-k", 1, "--json")
        before = self.json(*row)
        self.hemline("delete", path, "--path", self.at("v.npy") + "#0", "-q")
        for command in (row, ("evaluate", store)):
            self.assertIn("index it again", self.hemline(*command, code=1)[1])
        # A copy of the catalogue that it was built from will do.
        self.assertEqual(self.json(*row, "--catalog", old)[0]["hits"], before[0]["hits"])
        self.hemline("evaluate", store, "--catalog", old, "-q")
        self.hemline("index", path, "-o", store)
        self.assertEqual(self.json(*row)[0]["query"], self.at("v.npy") + "#4")
        self.hemline("evaluate", store, "-q")


class Options(support.Case):
    def test_options_of_other_sources_are_wrong_usage(self):
        for arguments in (("--folder", "a", "--deepfashion", "b"), ("--vectors", "a", "--folder", "b"),
                          ("--folder", "a", "--space", "b"), ("--vectors", "a", "--features", "hog"),
                          ("--manifest", "a", "--domain", "shop"), ("--folder", "a", "--whole-photos"),
                          ("--vectors", "a.npy", "--manifest", "b", "--split", "test")):
            with self.subTest(arguments=arguments):
                self.assertTrue(self.hemline("ingest", self.at("no.h5"), *arguments, code=2)[1].strip())

    def test_what_is_missing_is_named(self):
        for option in ("--folder", "--deepfashion", "--vectors"):
            with self.subTest(option=option):
                err = self.hemline("ingest", self.at("no.h5"), option, self.at("nowhere.npy"), code=1)[1]
                self.assertIn(self.at("nowhere.npy"), err)
        os.mkdir(self.at("empty"))
        err = self.hemline("ingest", self.at("no.h5"), "--folder", self.at("empty"), "--domain", "Shop", code=1)[1]
        self.assertIn("neither shop nor consumer", err)
        self.assertIn("lists no photos", self.hemline("ingest", self.at("no.h5"), "--folder", self.at("empty"), code=1)[1])


if __name__ == "__main__":
    support.main()
