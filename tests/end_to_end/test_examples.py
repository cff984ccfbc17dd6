"""The examples answer as the command does, through nothing but the public header."""
import array
import ctypes
import os
import re
import subprocess
import sys
import unittest

import support

EXAMPLE = os.environ.get("HEMLINE_EXAMPLE")
LIBRARY = os.environ.get("HEMLINE_LIBRARY")
PHOTOS = 60


def rows(text):
    """(item, path) of each hit that an example printed."""
    return re.findall(r"^ +\d+  (\S+) +\S+ +\S+  (\S+)", text, re.MULTILINE)


class Examples(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lines = ["path\titem_id\tcategory\tlabel"]
        for n in range(PHOTOS):
            support.write_png(cls.at(f"{n}.png"), n)
            lines.append(f"{n}.png\titem-{n // 2:03}\t{'dress' if n % 4 < 2 else 'skirt'}\t{'red' if n % 3 else 'blue'}")
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        cls.run_hemline("ingest", cls.at("shop.h5"), "--manifest", cls.at("photos.tsv"), "--features", "color", "-q")
        if b"without libvips" in cls.run_hemline("info", cls.at("shop.h5"), "--rejected").stdout:
            raise unittest.SkipTest("this build has no libvips: it cannot decode photos")
        cls.store = cls.at("store")
        cls.hemline("index", cls.at("shop.h5"), "-o", cls.store, "-q")

    def wanted(self, photo):
        return [(h["item_id"], h["path"]) for h in self.json("query", self.store, self.at(photo), "-k", 5, "--json")[0]["hits"]]

    def search(self, *arguments, code=0):
        done = subprocess.run([EXAMPLE, *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def python(self, *arguments, code=0):
        script = os.path.join(support.SOURCE, "examples", "hemline.py")
        done = subprocess.run([sys.executable, "-B", script, *arguments], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    @unittest.skipUnless(EXAMPLE, "HEMLINE_EXAMPLE names no program")
    def test_c(self):
        out, _ = self.search(self.store, self.at("7.png"), self.at("8.png"))
        self.assertEqual(rows(out), self.wanted("7.png") + self.wanted("8.png"))
        self.assertIn(f"{PHOTOS} photos of {PHOTOS // 2} items", out)
        out, _ = self.search(self.store, "--item", "item-003")
        self.assertEqual(len(rows(out)), 5)
        self.assertNotIn("item-003", [item for item, _ in rows(out)])
        _, err = self.search(self.store, "--item", "item-999", code=1)
        self.assertIn("HEM_ENOTFOUND: there is no item 'item-999'", err)
        _, err = self.search(self.store, self.at("photos.tsv"), code=1)
        self.assertIn("photos.tsv", err)
        self.search(self.store, code=2)

    @unittest.skipUnless(LIBRARY, "no shared library that Python can load")
    def test_python_as_a_program(self):
        out, _ = self.python(self.store, self.at("7.png"))
        self.assertEqual(rows(out), self.wanted("7.png"))
        _, err = self.python(self.at("nowhere"), "x.png", code=1)
        self.assertIn("hemline: ", err)
        self.assertIn("nowhere", err)

    @unittest.skipUnless(LIBRARY, "no shared library that Python can load")
    def test_python_as_a_module(self):
        sys.path.insert(0, os.path.join(support.SOURCE, "examples"))
        import hemline
        with hemline.Store(self.store) as store:
            self.assertEqual((store.info.photos, store.info.items), (PHOTOS, PHOTOS // 2))
            answer = store.photo(self.at("7.png"), k=5)
            self.assertEqual([(h.item_id, h.path) for h in answer.hits], self.wanted("7.png"))
            vector = store.embed(self.at("7.png"))
            with open(self.at("7.png"), "rb") as f:
                self.assertEqual(list(store.embed(f.read())), list(vector))
            self.assertEqual(list(store.embed(self.at("7.png"), (0, 0, 40, 30))), list(vector))
            self.assertNotEqual(list(store.embed(self.at("7.png"), (0, 0, 20, 30))), list(vector))
            for same in (list(vector), array.array("f", vector), bytes_view(vector), tuple(vector)):
                self.assertEqual(known(store.vector(same, k=5)), known(answer))
            try:
                import numpy
                for kind in (numpy.float32, numpy.float64):
                    self.assertEqual(known(store.vector(numpy.array(vector, kind), k=5)), known(answer))
            except ImportError:
                pass
            blue = store.vector(vector, labels=["blue"], categories=["skirt"], k=1000, photos=True).hits
            self.assertEqual(len(blue), sum(n % 3 == 0 and n % 4 >= 2 for n in range(PHOTOS)))
            self.assertTrue(all(h.label == "blue" and h.category == "skirt" for h in blue))
            like = store.item("item-003", k=1000).hits
            self.assertEqual(len(like), PHOTOS // 2 - 1)
            with self.assertRaisesRegex(hemline.HemlineError, "no item 'coat'"):
                store.item("coat")
            with self.assertRaisesRegex(TypeError, "colour"):
                store.item("item-003", colour="red")
            with self.assertRaises(hemline.HemlineError):
                store.vector([float("nan")] * len(vector))
        with self.assertRaisesRegex(hemline.HemlineError, "closed"):
            store.vector(vector)
        store.close()

    @unittest.skipUnless(LIBRARY, "no shared library that Python can load")
    def test_python_knows_the_structs_as_they_are(self):
        sys.path.insert(0, os.path.join(support.SOURCE, "examples"))
        import hemline
        with open(os.path.join(support.SOURCE, "tests", "unit", "test_abi.c"), encoding="utf-8") as f:
            text = f.read()
        mine = {"hem_error": hemline._Error, "hem_certificate": hemline._Certificate, "hem_engine_info": hemline._Info,
                "hem_search_options": hemline._SearchOptions, "hem_hit": hemline._Hit, "hem_answer": hemline._Answer,
                "hem_box": hemline._Box}
        for name, kind in mine.items():
            self.assertEqual(ctypes.sizeof(kind), int(re.search(rf"SIZE\({name}, (\d+)\)", text)[1]), name)
            places = re.findall(rf"PLACE\({name}, (\w+), (\d+), (\d+)\)", text)
            self.assertEqual(len(places), len(kind._fields_), name)
            for field, at, size in places:
                self.assertEqual((getattr(kind, field).offset, getattr(kind, field).size), (int(at), int(size)), field)


def known(answer):
    """Hits without what only a metric gives, which is NaN here and equals nothing."""
    return [(h.item_id, h.row, h.distance, h.place) for h in answer.hits]


def bytes_view(vector):
    """Float32 values that may only be read."""
    return memoryview(bytes(vector)).cast("f")


if __name__ == "__main__":
    support.main()
