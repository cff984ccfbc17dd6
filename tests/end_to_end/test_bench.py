"""hemline bench: every measurement is there and makes sense, files of ann-benchmarks go in and out, the page is XML."""
import csv
import math
import os
import xml.dom.minidom

import support
from test_train import SIGNAL, write_shop

try:
    import h5py
    import numpy
except ImportError:
    h5py = None

KINDS = ["flat", "hnsw", "hnsw-sq8", "hnsw-pca", "ivf", "ivf-sq8", "ivf-pq"]
QUICK = ["--queries", 40, "--rounds", 2, "-q"]


def write_benchmark(path, distance, gallery=1600, queries=60, dim=16, factor=1):
    noise = numpy.random.default_rng(5)
    train = noise.normal(size=(gallery, dim)).astype("f4")
    test = noise.normal(size=(queries, dim)).astype("f4")
    a, b = train.astype("f8"), test.astype("f8")
    if distance == "angular":
        a, b = (m / numpy.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))
        distances = 1 - b @ a.T
    else:
        distances = numpy.sqrt(((b[:, None] - a[None]) ** 2).sum(axis=-1))
    nearest = numpy.argsort(distances, axis=1)[:, :20]
    with h5py.File(path, "w") as f:
        f["train"], f["test"], f["neighbors"] = train, test, nearest.astype("i4")
        f["distances"] = (numpy.take_along_axis(distances, nearest, 1) * factor).astype("f4")
        f.attrs["distance"] = distance


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


@support.unittest.skipUnless(h5py, "no h5py (Debian: apt-get install python3-h5py)")
class Files(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.l2 = cls.at("l2.hdf5")
        write_benchmark(cls.l2, "euclidean")
        cls.out, _ = cls.hemline("bench", cls.l2, "--csv", cls.at("rows.csv"), "--report", cls.at("page.html"), *QUICK)
        cls.rows = read_rows(cls.at("rows.csv"))

    def names(self):
        return self.hemline("bench", "--list")[0].split()

    def test_every_contestant_has_its_rows(self):
        self.assertEqual(self.names()[:len(KINDS)], ["hemline-" + kind for kind in KINDS])
        self.assertIn("faiss-hnsw", self.names())
        for name in self.names():
            own = [row for row in self.rows if row["engine"] == name]
            modes = {(row["mode"], row["threads"]) for row in own}
            self.assertEqual(modes, {("single", "1"), ("single", "2"), ("batch", "1"), ("batch", "2"), ("cold", "1")}, name)
            self.assertIn(name, self.out)
        self.assertIn("faiss-hnsw again", {row["engine"] for row in self.rows})
        self.assertIn("Noise: faiss-hnsw beside itself", self.out)

    def test_numbers_make_sense(self):
        for row in self.rows:
            recall, low, high = (float(row[c]) for c in ("recall", "recall_low", "recall_high"))
            self.assertTrue(0 <= low <= recall <= high <= 1, row)
            self.assertGreater(float(row["qps"]), 0)
            self.assertLessEqual(float(row["qps_min"]), float(row["qps_max"]))
            self.assertEqual(row["p50_us"] == "", row["mode"] == "batch")
            self.assertEqual((row["gallery"], row["dim"], row["distance"], row["truth_from"], row["rounds"]),
                             ("1600", "16", "l2", "file", "2"))
            self.assertGreater(int(row["disk_bytes"]), 1600 * 16)
            if row["mode"] != "batch":
                self.assertLessEqual(float(row["p50_us"]), float(row["p99_us"]))

    def test_exact_is_exact_and_deeper_finds_more(self):
        self.assertEqual({row["recall"] for row in self.rows if row["engine"] == "hemline-flat"}, {"1"})
        for name in ("hemline-ivf", "faiss-ivf", "hemline-hnsw", "faiss-hnsw"):
            found = [(int(row["depth"]), float(row["recall"])) for row in self.rows
                     if row["engine"] == name and row["mode"] == "single" and row["threads"] == "1"]
            self.assertEqual(found, sorted(found))
            self.assertGreater(found[-1][1], found[0][1])

    def test_a_contestant_answers_alike_in_every_mode(self):
        for name in self.names():
            recalls = {}
            for row in self.rows:
                if row["engine"] == name and row["mode"] != "cold":
                    recalls.setdefault(row["setting"], []).append(float(row["recall"]))
            for setting, values in recalls.items():
                # FAISS adds in another order when it is asked many at once.
                self.assertLess(max(values) - min(values), 0.01, (name, setting))

    def test_the_front_has_nothing_better(self):
        for row in self.rows:
            rivals = [r for r in self.rows if r["mode"] != "cold" and
                      all(r[c] == row[c] for c in ("engine", "mode", "threads"))]
            better = any(float(r["recall"]) > float(row["recall"]) and float(r["qps"]) > float(row["qps"]) for r in rivals)
            if row["front"] == "1":
                self.assertFalse(better, row)

    def test_the_page_is_whole(self):
        page = xml.dom.minidom.parse(self.at("page.html"))
        text = page.documentElement.toxml()
        for name in self.names():
            self.assertIn(name, text)
        self.assertIn("How it was measured", text)
        self.assertFalse(page.getElementsByTagName("script"))
        for image in page.getElementsByTagName("img"):
            self.assertTrue(image.getAttribute("src").startswith("data:"))

    def test_indices_are_kept_and_found_again(self):
        first = self.json("bench", self.l2, "--work", self.at("work"), "--kinds", "hnsw", "--peers", "faiss-ivf", "--threads",
                          1, "--no-batch", "--no-cold", "--json", *QUICK)
        again = self.json("bench", self.l2, "--work", self.at("work"), "--kinds", "hnsw", "--peers", "faiss-ivf", "--threads",
                          1, "--no-batch", "--no-cold", "--json", *QUICK)
        for before, after in zip(first["engines"][:2], again["engines"][:2]):
            self.assertEqual((before["kept"], after["kept"]), (False, True))
            self.assertAlmostEqual(before["build_seconds"], after["build_seconds"], places=5)
        self.assertEqual({row["mode"] for row in again["rows"]}, {"single"})
        write_benchmark(self.at("other.hdf5"), "euclidean", gallery=1500)
        _, err = self.hemline("bench", self.at("other.hdf5"), "--work", self.at("work"), *QUICK, code=1)
        self.assertIn("indices of other data", err)

    def test_angular_is_cosine(self):
        write_benchmark(self.at("angular.hdf5"), "angular")
        found = self.json("bench", self.at("angular.hdf5"), "--kinds", "flat", "--peers", "faiss-hnsw", "--depths", 320,
                          "--threads", 1, "--json", *QUICK)
        self.assertEqual(found["distance"], "cosine")
        self.assertTrue(all(row["recall"] > 0.98 for row in found["rows"]))

    def test_distances_of_other_vectors_are_noticed(self):
        write_benchmark(self.at("wrong.hdf5"), "euclidean", factor=2)
        _, err = self.hemline("bench", self.at("wrong.hdf5"), *QUICK, code=1)
        self.assertIn("not those of its vectors", err)
        write_benchmark(self.at("wrong.hdf5"), "euclidean", factor=math.nan)
        _, err = self.hemline("bench", self.at("wrong.hdf5"), *QUICK, code=1)
        self.assertIn("no number", err)

    def test_wrong_wishes_are_refused(self):
        _, err = self.hemline("bench", self.l2, "--peers", "nobody", *QUICK, code=1)
        self.assertIn("this build has no 'nobody'", err)
        self.assertIn("faiss-hnsw", err)
        self.hemline("bench", self.l2, "--kinds", "none", "--peers", "none", code=2)
        _, err = self.hemline("bench", self.l2, "-d", "cosine", *QUICK, code=1)
        self.assertIn("leave --distance out", err)


class Stores(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_shop(cls.folder, "vectors.npy", SIGNAL, 3000)
        catalog = cls.at("shop.h5")
        cls.hemline("ingest", catalog, "--vectors", cls.at("vectors.npy"), "--manifest", cls.at("photos.tsv"), "-q")
        cls.hemline("train", catalog, "-o", cls.at("shop.metric"), "--tower", 0, "--hidden", 16, "--epochs", 3, "-q")
        cls.hemline("index", catalog, "--metric", cls.at("shop.metric"), "-o", cls.at("store"), "--force", "-q")
        cls.hemline("index", catalog, "-o", cls.at("plain"), "-q")

    def test_a_distance_that_others_lack_leaves_them_out(self):
        """A head's candidates are found by L1, which no peer has, and no file of ann-benchmarks either."""
        found = self.json("bench", self.at("store"), "--kinds", "flat", "--peers", "faiss-ivf", "--json", *QUICK)
        self.assertEqual(found["distance"], "l1")
        self.assertIn("by L2", found["engines"][1]["left_out"])
        self.assertEqual({row["engine"] for row in found["rows"]}, {"hemline-flat", "hemline-flat metric"})
        _, err = self.hemline("bench", self.at("store"), "--write-hdf5", self.at("none.hdf5"), "-q", code=1)
        self.assertIn("not for l1", err)

    def test_a_metric_has_a_truth_of_its_own(self):
        out, _ = self.hemline("bench", self.at("store"), "--kinds", "hnsw", "--peers", "none", "--threads", 1, "--csv",
                              self.at("rows.csv"), "--report", self.at("page.html"), *QUICK)
        rows = read_rows(self.at("rows.csv"))
        scored = [row for row in rows if row["truth"] == "siamese"]
        self.assertEqual({row["engine"] for row in scored}, {"hemline-hnsw metric"})
        self.assertEqual({row["k"] for row in scored}, {"20"})
        # Everything is bounded by default, and the more is scored the more is found.
        self.assertGreaterEqual(float(scored[0]["recall"]), 0.98)
        found = [float(row["recall"]) for row in scored[1:]]
        self.assertGreater(found[-1], found[0])
        self.assertIn("By the store's metric", out)
        self.assertIn("By the store’s metric", xml.dom.minidom.parse(self.at("page.html")).documentElement.toxml())
        self.assertTrue(any(row["truth"] == "distance" for row in rows))

    @support.unittest.skipUnless(h5py, "no h5py (Debian: apt-get install python3-h5py)")
    def test_a_store_is_written_for_others_and_read_back(self):
        self.hemline("bench", self.at("plain"), "--write-hdf5", self.at("out.hdf5"), "--neighbours", 15, "--queries", 50,
                     "-q")
        with h5py.File(self.at("out.hdf5")) as f:
            train, test, rows, distances = (f[name][:] for name in ("train", "test", "neighbors", "distances"))
            self.assertEqual(f.attrs["distance"] in ("euclidean", b"euclidean"), True)
        self.assertEqual((test.shape[0], rows.shape, distances.shape), (50, (50, 15), (50, 15)))
        for q in range(0, 50, 7):
            true = numpy.sqrt(((train.astype("f8") - test[q]) ** 2).sum(axis=1))
            self.assertTrue(numpy.allclose(distances[q], numpy.sort(true)[:15], rtol=1e-5))
            self.assertTrue(numpy.allclose(true[rows[q]], distances[q], rtol=1e-5))
        again = self.json("bench", self.at("out.hdf5"), "--kinds", "flat", "--peers", "none", "--threads", 1, "--json", *QUICK)
        self.assertTrue(all(row["recall"] == 1 for row in again["rows"]))
        self.assertTrue(math.isfinite(again["rows"][0]["qps"]))
        self.assertFalse(os.path.exists(self.at("out.hdf5.part")))


if __name__ == "__main__":
    support.main()
