"""hemline doctor on photo files: what is planted is found, the exit code tells, and evaluate's report has sheets."""
import os
import re
import shutil

import support

SIZE = {"width": 96, "height": 80}


class Doctor(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(8):
            support.write_png(cls.at(f"p{i}.png"), i, **SIZE)
        shutil.copy(cls.at("p1.png"), cls.at("copy.png"))
        with open(cls.at("broken.png"), "wb") as f, open(cls.at("p0.png"), "rb") as whole:
            f.write(whole.read()[:-100])
        cls.well = cls.ingest("well", [(f"p{i}.png", f"item{i}", "train") for i in range(8)], 0)

    @classmethod
    def ingest(cls, name, rows, code):
        with open(cls.at(name + ".tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\tsplit\tcategory\n")
            for row in rows:
                f.write("\t".join(row) + "\tdress\n")
        done = cls.run_hemline("ingest", cls.at(name + ".h5"), "--manifest", cls.at(name + ".tsv"), "-q")
        if b"without libvips" in cls.run_hemline("info", cls.at(name + ".h5"), "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")
        assert done.returncode == code, done
        return cls.at(name + ".h5")

    def test_a_healthy_catalogue_is_0(self):
        out, err = self.hemline("doctor", self.well, "-q")
        self.assertIn("8 photos, 8 pictures looked at, 0 findings", out)
        self.assertEqual(err, "")
        found = self.json("doctor", self.well, "--json", "-q")
        self.assertEqual((found["findings"], set(found["counts"].values())), ([], {0}))

    def test_what_is_wrong_is_3_and_named(self):
        rows = [(f"p{i}.png", f"item{i}", "train") for i in range(6)]
        ill = self.ingest("ill", rows + [("copy.png", "other", "test"), ("broken.png", "b", "train")], 3)
        os.rename(self.at("p3.png"), self.at("away.png"))
        self.addCleanup(os.rename, self.at("away.png"), self.at("p3.png"))
        found = self.json("doctor", ill, "--json", "-q", code=3)
        kinds = {f["kind"]: f for f in found["findings"]}
        self.assertEqual(set(kinds), {"leak", "gone", "rejected"})
        self.assertEqual([p["path"] for p in kinds["leak"]["photos"]], [self.at("p1.png"), self.at("copy.png")])
        self.assertEqual(kinds["leak"]["note"], "other items, other splits")
        self.assertEqual(kinds["leak"]["difference"], 0)
        self.assertEqual([p["path"] for p in kinds["gone"]["photos"]], [self.at("p3.png")])
        self.assertEqual([p["path"] for p in kinds["rejected"]["photos"]], [self.at("broken.png")])
        self.assertEqual({k for k, n in found["counts"].items() if n}, set(kinds))

        page = self.at("ill.html")
        out, _ = self.hemline("doctor", ill, "-q", "--report", page, code=3)
        for words in ("7 photos, 6 pictures looked at, 3 findings", self.at("copy.png"), self.at("p3.png")):
            self.assertIn(words, out)
        with open(page, encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(text.count('src="data:image/png;base64,'), 2)
        self.assertLess(len(text), 200000)

        found = self.json("doctor", ill, "--no-photos", "--json", "-q", code=3)
        self.assertEqual({f["kind"] for f in found["findings"]}, {"leak", "rejected"})

    def test_a_list_is_cut_unless_all_is_asked_for(self):
        with open(self.at("many.tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\n")
            for i in range(12):
                for side in "ab":
                    name = f"many-{i}-{side}.png"
                    support.write_png(self.at(name), i, **SIZE)
                    f.write(f"{name}\titem {i} {side}\n")
        self.hemline("ingest", self.at("many.h5"), "--manifest", self.at("many.tsv"), "-q")
        out, _ = self.hemline("doctor", self.at("many.h5"), "-q", code=3)
        self.assertIn("... and 2 more; --all lists them", out)
        self.assertEqual(len(re.findall(r"many-\d+-a.png", out)), 10)
        out, _ = self.hemline("doctor", self.at("many.h5"), "-q", "--all", code=3)
        self.assertEqual(len(re.findall(r"many-\d+-a.png", out)), 12)

    def test_idx_photos_are_seen_where_their_folder_is_named(self):
        folder = self.at("idx")
        os.mkdir(folder)
        support.write_idx(folder, "train", range(1, 30))
        support.write_idx(folder, "t10k", [7])  # also in train
        catalog = self.at("idx.h5")
        self.hemline("ingest", catalog, "--idx", folder, "-q")
        for extra, pictures in (((), 0), (("--idx", folder), 30)):
            found = self.json("doctor", catalog, "--json", "-q", *extra, code=3)
            self.assertEqual(found["pictures"], pictures)
            self.assertEqual([f["kind"] for f in found["findings"]], ["leak"])

    def test_wrong_usage(self):
        self.assertIn("name a CATALOG", self.hemline("doctor", code=2)[1])
        self.hemline("doctor", self.at("nothing.h5"), "-q", code=1)
        self.assertIn("made-up", self.hemline("doctor", self.well, "--space", "made-up", "-q", code=1)[1])
        self.hemline("doctor", self.well, "-q", "--report", self.at("no/such/folder.html"), code=1)


class Sheets(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\tdomain\tcategory\n")
            for i in range(30):
                support.write_png(cls.at(f"s{i}.png"), i, **SIZE)
                f.write(f"s{i}.png\titem{i}\tshop\tdress\n")
            for i in range(6):
                # the first three are of their item; the others show another item than they say
                support.write_png(cls.at(f"c{i}.png"), i if i < 3 else 40 + i, **SIZE)
                f.write(f"c{i}.png\titem{i}\tconsumer\tdress\n")
        cls.catalog = cls.at("shop.h5")
        cls.hemline("ingest", cls.catalog, "--manifest", cls.at("photos.tsv"), "-q")
        if b"without libvips" in cls.run_hemline("info", cls.catalog, "--rejected").stdout:
            raise support.unittest.SkipTest("this build has no libvips: it cannot decode photos")

    def report(self, *arguments, code=0):
        page = self.at("report.html")
        _, err = self.hemline("evaluate", self.catalog, "--report", page, "-q", *arguments, code=code)
        if code:
            return err
        with open(page, encoding="utf-8") as f:
            return f.read()

    def test_the_report_shows_right_and_wrong_queries(self):
        page = self.report("--sheets", 2)
        sheets = page.count("<article")
        self.assertEqual(page.count("dress: right, place 1<"), 2)
        self.assertLessEqual(sheets, 4)
        self.assertEqual(page.count('data:image/png'), page.count('<figure class="photo'))
        self.assertEqual(page, self.report("--sheets", 2))

    def test_the_approach_can_be_chosen(self):
        self.assertIn("Found with hog, by l1.", self.report("--approach", "hog", "-d", "l1"))
        self.assertIn("hog, color, ccv, harris", self.report("--approach", "made-up", code=1))

    def test_no_sheets_where_none_are_asked_for(self):
        self.assertNotIn("<article", self.report("--sheets", 0))

    def test_photos_that_are_gone_leave_no_sheets_but_a_report(self):
        names = [self.at(f"c{i}.png") for i in range(6)]
        for name in names:
            os.rename(name, name + ".away")
            self.addCleanup(os.rename, name + ".away", name)
        page = self.at("gone.html")
        _, err = self.hemline("evaluate", self.catalog, "--report", page, "-q")
        self.assertIn("no sheets of photos", err)
        self.assertTrue(os.path.exists(page))

    def test_options_of_sheets_need_a_report(self):
        self.hemline("evaluate", self.catalog, "--sheets", 2, code=2)
        self.hemline("evaluate", self.catalog, "--report", "x.html", "--distance", "ip", code=2)


if __name__ == "__main__":
    support.main()
