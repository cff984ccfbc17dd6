"""Real files in a listing: broken ones are named and do not stop the others; repaired ones come in."""
import os

import support

NAMES = ("red.png", "blau \u00e4\u00f6.png", "\u65e5\u672c.png", "tab.png")


class Photos(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i, name in enumerate(NAMES):
            support.write_png(cls.at(name), i)
        with open(cls.at("broken.png"), "wb") as f, open(cls.at(NAMES[0]), "rb") as whole:
            f.write(whole.read()[:-200])
        with open(cls.at("text.png"), "w", encoding="utf-8") as f:
            f.write("no photo at all\n")
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\tcategory\tbox\n")
            for name in (NAMES[0], "broken.png", *NAMES[1:], "text.png"):
                f.write(f"{name}\tItem {name}\tdress\t\n")
            f.write("red.png\tcrooked\tdress\tnot a box\n")
        cls.catalog, cls.store = cls.at("shop.h5"), cls.at("shop.store")
        done = cls.run_hemline("ingest", cls.catalog, "--manifest", cls.at("photos.tsv"))
        if b"without libvips" in cls.run_hemline("info", cls.catalog, "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")
        cls.ingested = done
        cls.hemline("index", cls.catalog, "-o", cls.store)

    def test_broken_photos_make_3_and_are_listed_with_reasons(self):
        self.assertEqual(self.ingested.returncode, 3)
        err = self.ingested.stderr.decode()
        self.assertIn("4 photos (4 added, 0 already there, 3 rejected)", err)
        self.assertIn("--rejected", err)
        lines = self.hemline("info", self.catalog, "--rejected")[0].splitlines()
        rejected = dict(line.split("\t") for line in lines)
        self.assertEqual(list(rejected), [self.at("broken.png"), self.at("text.png"), self.at("photos.tsv") + ":8"])
        self.assertTrue(all(rejected.values()))
        self.assertEqual([(r["path"], r["reason"]) for r in self.json("info", self.catalog, "--json")["rejected"]],
                         list(rejected.items()))

    def test_a_photo_finds_itself(self):
        for name in NAMES:
            answer, = self.json("query", self.store, self.at(name), "-k", 2, "--json")
            self.assertEqual(answer["query"], self.at(name))
            self.assertEqual(answer["hits"][0]["item_id"], "Item " + name)
            self.assertEqual(answer["hits"][0]["path"], self.at(name))
            self.assertLess(answer["hits"][0]["distance"], 1e-3)

    def test_photos_of_one_query_run_are_answered_in_order(self):
        answers = self.json("query", self.store, *(self.at(n) for n in NAMES), "--photos", "--json")
        self.assertEqual([a["query"] for a in answers], [self.at(n) for n in NAMES])
        self.assertTrue(all(a["found"] == 4 and a["shortfall"] for a in answers))

    def test_a_broken_photo_among_others_is_named_and_makes_3(self):
        files = [self.at(n) for n in (NAMES[0], "broken.png", "missing.png", NAMES[1])]
        out, err = self.hemline("query", self.store, *files, code=3)
        self.assertEqual([line for line in out.splitlines() if line in files], [files[0], files[3]])
        for name in files[1:3]:
            self.assertIn(name, err)
        answers = self.json("query", self.store, *files, "--json", code=3)
        self.assertEqual([a["query"] for a in answers], [files[0], files[3]])

    def test_a_repaired_photo_comes_in(self):
        catalog, listing = self.at("repair.h5"), self.at("repair.csv")
        with open(listing, "w", encoding="utf-8") as f:
            f.write('path,item_id\r\n"red.png","a, ""quoted"" item"\r\nlate.png,late\r\n')
        self.hemline("ingest", catalog, "--manifest", listing, "--threads", 1, code=3)
        self.hemline("ingest", catalog, "--manifest", listing, code=3)
        support.write_png(self.at("late.png"), 77)
        self.assertIn("2 photos (1 added, 1 already there, 0 rejected)",
                      self.hemline("ingest", catalog, "--manifest", listing)[1])
        self.assertEqual(self.hemline("info", catalog, "--rejected")[0], "")
        self.hemline("index", catalog, "-o", self.at("repair.store"))
        answer, = self.json("query", self.at("repair.store"), self.at("red.png"), "-k", 1, "--json")
        self.assertEqual(answer["hits"][0]["item_id"], 'a, "quoted" item')

    def test_the_listing_may_be_named_from_its_own_folder(self):
        done = support.subprocess.run([support.HEMLINE, "ingest", "here.h5", "--manifest", "photos.tsv"], cwd=self.folder,
                                      stderr=support.subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertEqual(self.json("info", self.at("here.h5"), "--json")["photos"], 4)
        self.assertFalse(os.path.exists(self.at("here.h5.segments")))


class Names(support.Case):
    def test_a_name_does_not_steer_the_terminal(self):
        support.write_png(self.at("good.png"), 3)
        with open(self.at("n.tsv"), "wb") as f:
            f.write(b"path\titem_id\ngood.png\tred \x1b[31m item\nno\x1b]0;title\x07thing.png\tx\n")
        catalog, store = self.at("n.h5"), self.at("n.store")
        _, said = self.hemline("ingest", catalog, "--manifest", self.at("n.tsv"), "-f", "color", "-q", code=3)
        listed, _ = self.hemline("info", catalog, "--rejected")
        self.hemline("index", catalog, "-o", store, "-q")
        answer, _ = self.hemline("query", store, self.at("good.png"))
        for text in (said, listed, answer):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)
        self.assertIn("red ?[31m item", answer)
        self.assertIn("no?]0;title?thing.png", listed)


if __name__ == "__main__":
    support.main()
