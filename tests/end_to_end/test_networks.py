"""A network as a feature, as a user meets it: what is printed and kept, a model that was moved, or is another one."""
import os

import onnx_file
import support


class Networks(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(6):
            support.write_png(cls.at(f"{i}.png"), i, 40 + 3 * i, 30)
        with open(cls.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write("path\n" + "".join(f"{i}.png\n" for i in range(6)))
        cls.model, cls.catalog, cls.store = cls.at("dress net.onnx"), cls.at("shop.h5"), cls.at("shop.store")
        cls.write(cls.model)
        done = cls.run_hemline("ingest", cls.catalog, "--manifest", cls.at("photos.tsv"), "--cnn", cls.model, "-q")
        cls.printed = done.stderr.decode()
        if done.returncode and ("ONNX Runtime" in cls.printed or "libvips" in cls.printed):
            raise support.unittest.SkipTest(cls.printed)
        cls.code = done.returncode
        cls.hemline("index", cls.catalog, "-o", cls.store, "-q")

    @staticmethod
    def write(path, **options):
        with open(path, "wb") as f:
            f.write(onnx_file.classifier(**options))

    def ingest(self, *arguments, code=0):
        name = f"{len(os.listdir(self.folder))}.h5"
        return self.at(name), self.hemline("ingest", self.at(name), "--manifest", self.at("photos.tsv"), *arguments,
                                           code=code)[1]

    def test_what_is_used_is_printed_and_kept(self):
        self.assertEqual(self.code, 0, self.printed)
        line, = [x for x in self.printed.splitlines() if x.startswith("dress_net: ")]
        self.assertIn("fit=shorter resize=18 crop=16 ", line)
        self.assertIn("tensor 'flat' (enters the last fully connected layer), 12 values", line)
        space, = self.json("info", self.catalog, "--json")["spaces"]
        self.assertEqual((space["name"], space["dim"]), ("dress_net", 12))
        self.assertEqual(space["features"], "onnx:" + os.path.realpath(self.model).replace(" ", "%20"))
        self.assertIn(space["recipe"].strip(), self.hemline("info", self.catalog)[0])

    def test_a_photo_finds_itself_and_a_moved_model_is_named(self):
        photo, there = self.at("3.png"), self.at("elsewhere.onnx")
        for arguments in ((), ("--cnn", there)):
            if arguments:
                os.rename(self.model, there)
                self.assertIn("--cnn", self.hemline("query", self.store, photo, code=1)[1])
            answer, = self.json("query", self.store, photo, "-k", 1, "--json", *arguments)
            self.assertEqual(answer["hits"][0]["path"], os.path.realpath(photo))
            self.assertLess(answer["hits"][0]["distance"], 1e-4)
        os.rename(there, self.model)

    def test_other_bytes_are_another_space(self):
        other = self.at("other.onnx")
        self.write(other, seed=5)
        err = self.hemline("query", self.store, self.at("3.png"), "--cnn", other, code=1)[1]
        self.assertRegex(err, r"another space \([0-9a-f]{12}\) than the store's \([0-9a-f]{12}\)")
        os.rename(self.model, self.at("kept.onnx"))
        os.rename(other, self.model)
        try:
            err = self.hemline("ingest", self.catalog, "--manifest", self.at("photos.tsv"), "--cnn", self.model, code=1)[1]
        finally:
            os.rename(self.at("kept.onnx"), self.model)
        self.assertIn("ingest with the same features", err)

    def test_several_networks_beside_features(self):
        second = self.at("second.onnx")
        self.write(second, seed=9, metadata={"hemline.preprocess": "fit=stretch", "hemline.layer": "pooled"})
        catalog, err = self.ingest("--features", "color", "--cnn", self.model, "--layer", "scores", "--cnn", second,
                                   "--preprocess", "order=bgr")
        self.assertIn("tensor 'scores' (as asked for), 4 values", err)
        self.assertRegex(err, r"second: fit=stretch .* order=bgr .*tensor 'pooled' \(as the model's metadata say\)")
        spaces = self.json("info", catalog, "--json")["spaces"]
        self.assertEqual([(s["name"], s["dim"]) for s in spaces], [("color", 256), ("dress_net", 4), ("second", 12)])
        store = self.at("second.store")
        self.hemline("index", catalog, "--space", "second", "-o", store, "-q")
        answer, = self.json("query", store, self.at("2.png"), "-k", 1, "--json")
        self.assertEqual(answer["hits"][0]["path"], os.path.realpath(self.at("2.png")))

    def test_hemlines_own_network_by_name(self):
        os.makedirs(self.at("data"))
        self.write(self.at("data/hemnet.onnx"), seed=3)
        os.environ["HEMLINE_DATA"] = self.at("data")
        try:
            catalog, err = self.ingest("--features", "hemnet,color")
        finally:
            del os.environ["HEMLINE_DATA"]
        self.assertIn("hemnet: fit=shorter", err)
        self.assertEqual(self.json("info", catalog, "--json")["spaces"][0]["features"], "hemnet,color")

    def test_what_cannot_be_is_refused_before_a_photo_is_read(self):
        for arguments, words in ((("--preset", "resnet50"), "--cnn"), (("--layer", "a", "--layer", "b"), "second value")):
            self.assertIn(words, self.hemline("ingest", self.at("x.h5"), "--manifest", self.at("photos.tsv"), *arguments,
                                              code=2)[1])
        for options, arguments, words in (
                (b"", ("--layer", "nose"), "the last tensors are 'scores', 'flat'"),
                (b"", ("--preset", "nose"), "resnet50"),
                (b"", ("--preset", "resnet50"), "16 x 16"),
                (b"", ("--preprocess", "size=3"), "'size=3'"),
                (onnx_file.field(5, onnx_file.field(8, "big") + onnx_file.field(14, 1)), (), "save the model as one file"),
                (onnx_file.field(11, onnx_file.value_info("mask", [1])), (), "'mask'")):
            self.write(self.at("bad.onnx"), extra=options)
            catalog, err = self.ingest("--cnn", self.at("bad.onnx"), *arguments, code=1)
            self.assertIn(words, err)
            self.assertFalse(os.path.exists(catalog))
        with open(self.at("bad.onnx"), "rb+") as f:
            f.truncate(1000)
        self.assertIn("is not an ONNX model, or a damaged one", self.ingest("--cnn", self.at("bad.onnx"), code=1)[1])

    def test_without_the_library_it_says_what_to_do(self):
        os.environ["HEMLINE_ONNXRUNTIME"] = self.at("no.so")
        try:
            err = self.ingest("--cnn", self.model, code=1)[1]
            self.ingest("--features", "color")
        finally:
            del os.environ["HEMLINE_ONNXRUNTIME"]
        self.assertIn("no.so", err)
        self.assertIn("./setup", err)

    def test_presets_are_listed(self):
        out, _ = self.hemline("ingest", "--preset", "help")
        for name in ("vgg16", "vgg19", "inception_v3", "resnet50", "mobilenet_v2"):
            self.assertIn(name, out)


if __name__ == "__main__":
    support.main()
