"""The command's manners: help on stdout, wrong usage on stderr with 2, failures with 1."""
import os
import re

import support

COMMANDS = ("demo", "ingest", "delete", "train", "index", "query", "evaluate", "info", "verify", "doctor", "export-onnx",
            "views", "plot", "bench", "serve", "rollback", "drift", "cost")
SOURCE = os.environ.get("HEMLINE_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
WRONG = (
    (),
    ("no-such-command",),
    ("ingest",),
    ("ingest", "shop.h5"),
    ("ingest", "shop.h5", "--idx", "a", "--manifest", "b"),
    ("ingest", "a.h5", "b.h5", "--idx", "c"),
    ("ingest", "shop.h5", "--idx", "a", "--threads", "many"),
    ("ingest", "shop.h5", "--idx", "a", "--threads", "-1"),
    ("ingest", "shop.h5", "--idx", "a", "--no-such-option"),
    ("index", "shop.h5", "-o", "s", "--target-recall", "99"),
    ("index", "shop.h5", "-o", "s", "--max-memory", "2X"),
    ("cost",),
    ("cost", "s", "--recall", "no"),
    ("cost", "s", "--memory", "0"),
    ("ingest", "shop.h5", "--vectors", "v.npy", "--folder", "d"),
    ("ingest", "shop.h5", "--idx", "a", "--preset", "resnet50"),
    ("ingest", "shop.h5", "--idx", "a", "--cnn", "n.onnx", "--layer", "x", "--layer", "y"),
    ("delete",),
    ("delete", "shop.h5"),
    ("delete", "shop.h5", "--path"),
    ("index",),
    ("index", "shop.h5"),
    ("index", "shop.h5", "-o", "store", "--distance", "far"),
    ("index", "shop.h5", "-o", "store", "--ef-search", "1e3"),
    ("query",),
    ("query", "store"),
    ("query", "store", "a.jpg", "--row", "1"),
    ("query", "store", "--row", "1", "--vector", "v"),
    ("query", "store", "--row", "one"),
    ("query", "store", "--row", "1", "-k", "0"),
    ("query", "store", "--row", "1", "-k", "100001"),
    ("evaluate",),
    ("evaluate", "shop.h5", "--match", "colour"),
    ("evaluate", "shop.h5", "--query-split", "tset"),
    ("info",),
    ("info", "a", "b"),
    ("verify",),
    ("evaluate", "shop.h5", "--sheets", "2"),
    ("doctor",),
    ("doctor", "a.h5", "b.h5"),
)
MISSING = (
    ("ingest", "{0}/shop.h5", "--idx", "{0}/nowhere"),
    ("ingest", "{0}/shop.h5", "--manifest", "{0}/nowhere.tsv"),
    ("ingest", "{0}/shop.h5", "--folder", "{0}/nowhere"),
    ("ingest", "{0}/shop.h5", "--deepfashion", "{0}/nowhere"),
    ("ingest", "{0}/shop.h5", "--vectors", "{0}/nowhere.npy"),
    ("ingest", "{0}/shop.h5", "--folder", "{0}", "--cnn", "{0}/nowhere.onnx"),
    ("delete", "{0}/nowhere.h5", "item"),
    ("delete", "{0}/nowhere.h5", "--path", "photo.jpg"),
    ("index", "{0}/nowhere.h5", "-o", "{0}/store"),
    ("query", "{0}/nowhere", "--row", "0"),
    ("evaluate", "{0}/nowhere.h5"),
    ("info", "{0}/nowhere.h5"),
    ("verify", "{0}/nowhere.h5"),
    ("doctor", "{0}/nowhere.h5"),
)


class Usage(support.Case):
    def test_wrong_usage_is_2_and_says_why_on_stderr(self):
        for arguments in WRONG:
            with self.subTest(arguments=arguments):
                out, err = self.hemline(*arguments, code=2)
                self.assertEqual(out, "")
                self.assertTrue(err.strip())

    def test_what_is_missing_is_1_and_is_named(self):
        for arguments in MISSING:
            with self.subTest(arguments=arguments):
                out, err = self.hemline(*(a.format(self.folder) for a in arguments), code=1)
                self.assertEqual(out, "")
                self.assertIn("hemline: ", err)
                self.assertIn(self.folder + "/nowhere", err)

    def test_help_is_on_stdout_with_examples(self):
        for command in ((), *((c,) for c in COMMANDS)):
            with self.subTest(command=command):
                out, err = self.hemline(*command, "--help")
                self.assertIn("Examples:\n", out)
                self.assertIn("  hemline ", out)
                self.assertEqual(err, "")
        for command in COMMANDS:
            self.assertIn(f"  {command} ", self.hemline("--help")[0])

    def test_every_command_is_in_the_man_page_and_the_completion(self):
        listed = re.findall(r"^  (?!hemline)([a-z-]+) +[a-z0-9]", self.hemline("--help")[0], re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(COMMANDS))
        with open(os.path.join(SOURCE, "docs", "hemline.1"), encoding="utf-8") as f:
            page = f.read()
        with open(os.path.join(SOURCE, "cli", "completion.bash"), encoding="utf-8") as f:
            completed = re.search(r"commands='([^']*)'", f.read()).group(1).split()
        self.assertEqual(sorted(completed), sorted(COMMANDS))
        for command in COMMANDS:
            self.assertRegex(page, r"\.B " + re.escape(command).replace(r"\-", r"\\-") + r"( tsne)?\n")

    def test_version(self):
        self.assertRegex(self.hemline("--version")[0], r"^hemline \d+\.\d+\.\d+\n$")

    def test_a_full_disk_under_stdout_is_noticed(self):
        with open("/dev/full", "wb") as full:
            done = support.subprocess.run([support.HEMLINE, "--version"], stdout=full, stderr=support.subprocess.PIPE,
                                          check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    support.main()
