"""hemline index --target-recall and hemline cost: settings are chosen, promised, told from the store alone; a build that is
killed while it tries them leaves the store as it was."""
import os
import random
import shutil
import signal
import struct
import subprocess
import time

import support

DIM = 16
SHOP = (("coat", 2500), ("shoe", 400))
CUSTOMERS = 320


def write_vectors(path):
    """Clusters of photos, and customers' photos near them: .fvecs, and the table of what its rows are."""
    random.seed(3)
    rows = []
    with open(path + ".fvecs", "wb") as f:
        for category, photos in SHOP:
            middles = [[random.gauss(0, 1) for _ in range(DIM)] for _ in range(photos // 50)]
            for i in range(photos + CUSTOMERS):
                domain = "shop" if i < photos else "consumer"
                f.write(struct.pack(f"<i{DIM}f", DIM, *(x + random.gauss(0, .6) for x in random.choice(middles))))
                rows.append((f"{category}-{domain}-{i}", category, domain))
    with open(path + ".tsv", "w", encoding="utf-8") as f:
        f.write("item_id\tcategory\tdomain\tpath\n")
        f.writelines(f"{item}\t{category}\t{domain}\t{item}\n" for item, category, domain in rows)


class Tuning(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_vectors(cls.at("v"))
        cls.catalog, cls.store = cls.at("shop.h5"), cls.at("shop.store")
        cls.hemline("ingest", cls.catalog, "--vectors", cls.at("v.fvecs"), "--manifest", cls.at("v.tsv"), "-q")
        _, cls.said = cls.hemline("index", cls.catalog, "-o", cls.store, "--target-recall", "0.95", "-q")

    def test_what_was_chosen_is_said_and_serves(self):
        self.assertIn("tuned for recall 0.95, of the 10 nearest photos", self.said)
        self.assertRegex(self.said, r"coat .* us .* promised (0\.9|1\.0).*\(.*80 queries\)")
        cost = self.json("cost", self.store, "--json")
        served = {c["name"]: c for c in self.json("info", self.store, "--json")["manifest"]["categories"]}
        for category in cost["categories"]:
            for field in ("kind", "efSearch", "nprobe", "refine"):
                self.assertEqual(category["chosen"][field], served[category["name"]][field])
        self.assertIn("hemline cost", self.hemline("info", self.store)[0])

    def test_the_promise_holds_and_the_choice_is_the_cheapest_that_was_tried(self):
        measured = {row["category"]: row for row in self.json("evaluate", self.store, "--json", "-q")}
        for category in self.json("cost", self.store, "--json")["categories"]:
            promise, found = category["promise"], measured[category["name"]]
            self.assertLessEqual(promise["low"], found["high"])
            self.assertGreaterEqual(promise["high"], found["low"])
            enough = [p["median_us"] for p in category["points"] if p["low"] >= 0.95]
            self.assertLessEqual(category["chosen"]["median_us"], 1.1 * min(enough))

    def test_cost_answers_from_the_store_alone(self):
        alone = self.at("alone.store")
        shutil.copytree(self.store, alone)
        generation = os.path.join(alone, "generations", "000001")
        for name in os.listdir(generation):
            if name not in ("manifest.json", "tuning.json"):
                os.remove(os.path.join(generation, name))
        out, _ = self.hemline("cost", alone, "--recall", "0.9", "-c", "shoe")
        self.assertIn("flat: ", out)
        self.assertIn("the one that serves", out)
        self.assertNotIn("\ncoat:", out)
        answer = self.json("cost", alone, "--recall", "0.9", "--json")
        for category in answer["categories"]:
            enough = [p["median_us"] for p in category["points"] if p["low"] >= 0.9]
            self.assertLessEqual(category["cheapest"]["median_us"], 1.02 * min(enough) + 1e-6)
        out, _ = self.hemline("cost", alone, "--recall", "0.9", "--memory", "100", code=1)
        self.assertIn("nothing answers within", out)

    def test_a_picture(self):
        if not shutil.which("gnuplot"):
            self.skipTest("no gnuplot")
        for more in ((), ("-c", "coat")):
            self.hemline("cost", self.store, "--plot", self.at("cost.svg"), *more)
            with open(self.at("cost.svg"), encoding="utf-8") as f:
                self.assertIn("</svg>", f.read())

    def test_a_store_that_was_not_tuned_says_what_to_do(self):
        self.hemline("index", self.catalog, "-o", self.at("plain.store"), "--kind", "flat", "-q")
        _, err = self.hemline("cost", self.at("plain.store"), code=1)
        self.assertIn("was not tuned", err)
        self.assertIn("--target-recall", err)
        _, err = self.hemline("cost", self.store, "-c", "hat", code=1)
        self.assertIn("no category 'hat'", err)

    def test_limits_that_cannot_be_met_say_what_is_possible(self):
        _, err = self.hemline("index", self.catalog, "-o", self.at("none.store"), "--target-recall", "0.95", "--max-memory",
                              "1K", "-q", code=1)
        self.assertIn("category 'coat'", err)
        self.assertRegex(err, r"is possible|possible is")

    def test_killed_while_it_tries_leaves_the_store(self):
        store = self.at("killed.store")
        shutil.copytree(self.store, store)
        for _ in range(2):
            run = subprocess.Popen([support.HEMLINE, "index", self.catalog, "-o", store, "--target-recall", "0.95", "-q"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            aside, deadline = os.path.join(store, "generations", "000002.tmp"), time.monotonic() + 60
            last = "c0000.ivf-pq.faiss"  # from when this is there, settings are tried
            while not os.path.exists(os.path.join(aside, last)) and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertIsNone(run.poll())
            run.send_signal(signal.SIGKILL)
            run.wait()
            self.assertTrue(os.path.exists(aside))
            self.assertEqual(self.json("info", store, "--json")["generation"], "000001")
            self.hemline("verify", store, "-q")
            self.hemline("cost", store)
        self.hemline("index", self.catalog, "-o", store, "--kind", "flat", "-q")
        self.assertFalse(os.path.exists(aside))
        self.hemline("rollback", store)
        self.assertEqual(self.json("cost", store, "--json")["categories"],
                         self.json("cost", self.store, "--json")["categories"])


if __name__ == "__main__":
    support.main()
