"""A store with a metric, from its training to an explained answer."""
import os

import support
from test_train import SIGNAL, write_shop

ITEMS = 3000


class Metric(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_shop(cls.folder, "vectors.npy", SIGNAL, ITEMS)
        cls.catalog, cls.metric = cls.at("shop.h5"), cls.at("shop.metric")
        cls.hemline("ingest", cls.catalog, "--vectors", cls.at("vectors.npy"), "--manifest", cls.at("photos.tsv"), "-q")
        cls.hemline("train", cls.catalog, "-o", cls.metric, "--tower", 0, "--hidden", 16, "--epochs", 4, "-q")
        _, cls.certified = cls.hemline("index", cls.catalog, "--metric", cls.metric, "-o", cls.at("store"), "-q")
        cls.hemline("index", cls.catalog, "--metric", cls.metric, "-o", cls.at("narrow"), "--rerank", 60, "-q")

    def ask(self, store, row, *options):
        return self.json("query", self.at(store), "--row", row, "--json", *options)[0]

    def ids(self, store, row, *options):
        return [(hit["item_id"], hit["score"]) for hit in self.ask(store, row, *options)["hits"]]

    def test_index_prints_a_certificate_and_info_repeats_it(self):
        self.assertIn("overlap@20", self.certified)
        info, _ = self.hemline("info", self.at("store"))
        self.assertIn("overlap@20", info)

    def test_every_answer_quotes_its_certificate(self):
        answer = self.ask("store", 1)
        metric = answer["metric"]
        self.assertTrue(metric["reranked"] and metric["as_certified"])
        self.assertGreaterEqual(metric["certificate"]["overlap"], 0.98)
        self.assertLess(metric["scored"], ITEMS)
        scores = [hit["score"] for hit in answer["hits"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertTrue(all(0 <= hit["probability"] <= 1 for hit in answer["hits"]))

    def test_the_exact_answer_holds_the_default_one(self):
        same = total = 0
        for row in range(1, 60, 2):
            exact = {item for item, _ in self.ids("store", row, "--exact")}
            same += len(exact & {item for item, _ in self.ids("store", row)})
            total += len(exact)
        self.assertGreaterEqual(same / total, 0.98)

    def test_bounds_leave_nothing_out(self):
        """60 candidates of 3,000 photos are bounded and not all scored; asked for by number, all of them are."""
        fewer = 0
        for row in range(1, 60, 2):
            pruned, whole = self.ask("narrow", row, "-k", 5), self.ask("narrow", row, "-k", 5, "--rerank", 60)
            self.assertEqual([(h["item_id"], h["score"]) for h in pruned["hits"]],
                             [(h["item_id"], h["score"]) for h in whole["hits"]])
            self.assertGreaterEqual(whole["metric"]["scored"], 60)
            fewer += pruned["metric"]["scored"] < 60
        self.assertGreater(fewer, 0)

    def test_plain_answers_are_by_distance(self):
        answer = self.ask("store", 1, "--plain")
        self.assertFalse(answer["metric"]["reranked"])
        distances = [hit["distance"] for hit in answer["hits"]]
        self.assertEqual(distances, sorted(distances))

    def test_probabilities_can_be_asked_for(self):
        hits = self.ask("store", 1, "--min-probability", 0.2)["hits"]
        self.assertTrue(all(hit["probability"] >= 0.2 for hit in hits))

    def test_explain_says_what_each_feature_costs(self):
        out, _ = self.hemline("query", self.at("store"), "--row", 1, "--explain", "-k", 3)
        self.assertIn("by distance", out)
        self.assertIn("vectors", out)  # the one block of ready-made vectors
        os.rename(self.catalog, self.catalog + ".gone")
        try:
            _, err = self.hemline("query", self.at("store"), "--row", 1, "--explain", code=1)
            self.assertIn("--catalog", err)
        finally:
            os.rename(self.catalog + ".gone", self.catalog)

    def test_exhaustive_compares_with_scoring_everything(self):
        out, _ = self.hemline("evaluate", self.at("store"), "--exhaustive", "-q")
        for word in ("plain distance", "default", "exact", "exhaustive", "overlap@20", "never saw"):
            self.assertIn(word, out)

    def test_what_is_not_better_is_refused_unless_forced(self):
        folder, catalog, poor, store = self.at("noise"), self.at("noise.h5"), self.at("poor.metric"), self.at("poor")
        os.mkdir(folder)
        write_shop(folder, "vectors.npy", 0, 300)
        self.hemline("ingest", catalog, "--vectors", os.path.join(folder, "vectors.npy"), "--manifest",
                     os.path.join(folder, "photos.tsv"), "-q")
        self.hemline("train", catalog, "-o", poor, "--tower", 0, "--hidden", 4, "--epochs", 1, "-q")
        _, err = self.hemline("index", catalog, "--metric", poor, "-o", store, "-q", code=1)
        self.assertIn("--force", err)
        self.assertFalse(os.path.exists(os.path.join(store, "CURRENT")))
        self.hemline("index", catalog, "--metric", poor, "-o", store, "--force", "-q")


if __name__ == "__main__":
    support.main()
