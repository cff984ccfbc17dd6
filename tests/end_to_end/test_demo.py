"""The demo on made-up Fashion-MNIST files: every step, ending in matches and a report."""
import os

import support


class Demo(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        support.write_idx(cls.folder, "train", range(300))
        support.write_idx(cls.folder, "t10k", range(1000, 1050))

    def test_it_ends_with_matches_and_a_report_and_runs_again(self):
        folder = self.at("demo")
        for added in ("350 of them new", "0 of them new"):
            out = self.hemline("demo", "--dir", folder, "--idx", self.folder)[0]
            self.assertIn(added, out)
            for category in ("bag", "dress", "lower", "shoes", "upper"):
                self.assertIn(f" in category {category}: ", out)
            self.assertIn("recall@10 1.0000", out)
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as f:
            page = f.read()
        self.assertTrue(page.rstrip().endswith("</html>"))
        self.assertIn("data:image/png;base64,", page)

    def test_without_photos_it_says_where_to_get_them(self):
        err = self.hemline("demo", "--dir", self.at("none"), "--idx", self.at("nowhere"), code=1)[1]
        self.assertIn("dataset-fashion-mnist", err)


if __name__ == "__main__":
    support.main()
