"""Photos of the same garment, worn and for sale: the default features find 85 of 100 among 209 shop photos. Needs
the development data beside the checkout."""
import csv
import os

import support

PAIRS = os.path.join(support.SHARED, "pairs")


@support.unittest.skipUnless(os.path.exists(os.path.join(PAIRS, "pairs.tsv")), "no ../shared/data/pairs")
class Pairs(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shop, consumer = {}, {}
        with open(os.path.join(PAIRS, "pairs.tsv"), encoding="utf-8") as f:
            for row in csv.DictReader(f, delimiter="\t"):
                shop[row["shop_image"]] = row["item_id"]
                consumer[row["query_image"]] = row["item_id"]
        with open(cls.at("pairs.tsv"), "w", encoding="utf-8") as f:
            # One category: each query against one gallery of all shop photos.
            f.write("path\titem_id\tdomain\n")
            for domain, photos in (("shop", shop), ("consumer", consumer)):
                for path, item in photos.items():
                    f.write(f"{os.path.abspath(os.path.join(PAIRS, path))}\t{item}\t{domain}\n")
        cls.shop, cls.consumer, cls.catalog = shop, consumer, cls.at("pairs.h5")
        cls.hemline("ingest", cls.catalog, "--manifest", cls.at("pairs.tsv"), "-q")

    def test_top_20_accuracy_of_the_default_features(self):
        rows = self.json("evaluate", self.catalog, "--match", "item", "--json", "-q")["rows"]
        best = {}
        for row in rows:
            if "," in row["approach"] or "+" in row["approach"]:
                self.assertEqual((row["queries"], row["gallery"]), (len(self.consumer), len(self.shop)))
                best[row["distance"]] = next(c["accuracy"] for c in row["top"] if c["k"] == 20)
        for distance in ("l2", "cosine"):
            self.assertGreaterEqual(best[distance], 0.85, best)

    def test_a_query_photo_finds_its_item(self):
        store = self.at("pairs.store")
        self.hemline("index", self.catalog, "-o", store, "--distance", "cosine", "-q")
        photos = list(self.consumer)[:40]
        answers = self.json("query", store, *(os.path.join(PAIRS, p) for p in photos), "--json")
        right = sum(self.consumer[p] in {h["item_id"] for h in a["hits"]} for p, a in zip(photos, answers))
        self.assertGreaterEqual(right, 30)


if __name__ == "__main__":
    support.main()
