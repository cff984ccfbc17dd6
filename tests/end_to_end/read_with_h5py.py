"""A catalogue read by another program: h5py sees every column, vector, attribute and checksum that was put in, and
each agrees with what Python computes from the idx files itself."""
import hashlib
import os
import struct

import support

try:
    import h5py
    import numpy
except ImportError:
    h5py = None

LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CATEGORIES = ("upper", "lower", "upper", "dress", "upper", "shoes", "upper", "shoes", "bag", "shoes")
BLOCK = 4 << 20


def text(values):
    return [v.decode("utf-8") if isinstance(v, bytes) else v for v in values]


@support.unittest.skipUnless(h5py, "no h5py (Debian: apt-get install python3-h5py)")
class ReadWithH5py(support.Case):
    TRAIN, T10K = range(2000), range(5000, 5700)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        support.write_idx(cls.folder, "train", cls.TRAIN)
        support.write_idx(cls.folder, "t10k", cls.T10K)
        cls.catalog = cls.at("fm.h5")
        cls.hemline("ingest", cls.catalog, "--idx", cls.folder, "-f", "pixels", "-f", "hog,color", "-q")
        cls.file = h5py.File(cls.catalog, "r")
        cls.addClassCleanup(cls.file.close)
        cls.numbers = [*cls.TRAIN, *cls.T10K]
        cls.halves = [("train", i) for i in range(len(cls.TRAIN))] + [("t10k", i) for i in range(len(cls.T10K))]

    def column(self, name):
        return self.file["photos"][name][()]

    def test_the_tree_is_the_documented_one(self):
        self.assertEqual(sorted(self.file), ["block_sha256", "embeddings", "photos"])
        self.assertEqual(sorted(self.file["photos"]), sorted(
            ["item_id", "category", "label", "path", "domain", "split", "box", "width", "height", "source_sha256",
             "source_bytes", "source_mtime_ns", "box_unit"]))
        self.assertEqual(sorted(self.file["embeddings"]), ["hog+color", "pixels"])
        self.assertEqual(sorted(self.file["block_sha256"]), ["hog+color", "pixels"])
        self.assertRegex(text([self.file.attrs["hemline_version"]])[0], r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.file.userblock_size, 4096)

    def test_text_columns(self):
        name = os.path.basename(self.folder)
        self.assertEqual(text(self.column("item_id")), [f"{name}/{half}-{i:05d}" for half, i in self.halves])
        self.assertEqual(text(self.column("path")),
                         [f"{name}/{half}-images-idx3-ubyte#{i}" for half, i in self.halves])
        self.assertEqual(text(self.column("category")), [CATEGORIES[n % 10] for n in self.numbers])
        self.assertEqual(text(self.column("label")), [LABELS[n % 10] for n in self.numbers])
        for name in ("item_id", "category", "label", "path"):
            self.assertEqual(h5py.check_string_dtype(self.file["photos"][name].dtype).encoding, "utf-8")

    def test_number_columns(self):
        domain, split = self.file["photos"]["domain"], self.file["photos"]["split"]
        self.assertEqual(h5py.check_enum_dtype(domain.dtype), {"shop": 0, "consumer": 1})
        self.assertEqual(h5py.check_enum_dtype(split.dtype), {"none": 0, "train": 1, "validation": 2, "test": 3})
        self.assertEqual(list(domain[()]), [int(half == "t10k") for half, _ in self.halves])
        self.assertEqual(list(split[()]), [1 if half == "train" else 3 for half, _ in self.halves])
        self.assertEqual(self.column("box").shape, (2700, 4))
        self.assertFalse(self.column("box").any())
        for name in ("width", "height"):
            self.assertEqual(self.column(name).dtype, numpy.dtype("<u4"))
            self.assertTrue((self.column(name) == 28).all())

    def test_hashes_of_the_photos(self):
        wanted = [hashlib.sha256(support.pixels(n)).digest() for n in self.numbers]
        self.assertEqual([bytes(row) for row in self.column("source_sha256")], wanted)

    def test_pixels_are_the_files_own(self):
        wanted = numpy.frombuffer(b"".join(support.pixels(n) for n in self.numbers), numpy.uint8).reshape(-1, 784)
        found = self.file["embeddings"]["pixels"]
        self.assertEqual(found.dtype, numpy.dtype("<f4"))
        self.assertTrue(numpy.array_equal(found[()], wanted.astype("<f4")))
        other = self.file["embeddings"]["hog+color"][()]
        self.assertEqual(len(other), 2700)
        self.assertTrue(numpy.isfinite(other).all() and other.any())

    def test_attributes_of_the_spaces(self):
        for name, features in (("pixels", ["pixels"]), ("hog+color", ["hog", "color"])):
            space = self.file["embeddings"][name]
            attributes = {k: text([v])[0] for k, v in space.attrs.items() if k != "block_dims"}
            self.assertEqual(sorted(attributes), ["blocks", "features", "hash", "recipe"])
            self.assertEqual(attributes["features"].split(","), features)
            self.assertEqual(attributes["blocks"].split(","), features)
            self.assertEqual(len(space.attrs["block_dims"]), len(features))
            self.assertEqual(sum(space.attrs["block_dims"]), space.shape[1])
            self.assertEqual(attributes["hash"], hashlib.sha256(attributes["recipe"].encode()).hexdigest())

    def test_vectors_can_be_mapped_at_their_offset(self):
        for name in self.file["embeddings"]:
            space = self.file["embeddings"][name]
            offset = space.id.get_offset()
            self.assertIsNone(space.chunks)
            self.assertEqual(offset % 4096, 0)
            mapped = numpy.memmap(self.catalog, "<f4", "r", offset, space.shape)
            self.assertTrue(numpy.array_equal(mapped, space[()]))

    def test_checksums_of_the_blocks(self):
        for name in self.file["embeddings"]:
            content = self.file["embeddings"][name][()].tobytes()
            wanted = [hashlib.sha256(content[i:i + BLOCK]).digest() for i in range(0, len(content), BLOCK)]
            self.assertEqual([bytes(row) for row in self.file["block_sha256"][name][()]], wanted)
        self.assertGreater(len(self.file["block_sha256"]["pixels"]), 1)

    def test_columns_are_packed_and_summed(self):
        for column in self.file["photos"].values():
            self.assertTrue(column.fletcher32 and column.shuffle, column.name)
            self.assertEqual(column.compression, "gzip")

    def test_the_seal(self):
        with open(self.catalog, "rb") as f:
            content = f.read()
        form, count, size = struct.unpack_from("<IIQ", content, 80)
        self.assertEqual((form, count, size), (2, 2, len(content)))
        self.assertEqual(content[4064:4096], hashlib.sha256(content[:4064]).digest())
        extents = [struct.unpack_from("<QQ", content, 128 + 16 * i) for i in range(count)]
        spaces = self.file["embeddings"].values()
        self.assertEqual(sorted(extents), sorted((s.id.get_offset(), s.id.get_storage_size()) for s in spaces))
        rest, at = hashlib.sha256(), 4096
        for offset, length in extents:
            rest.update(content[at:offset])
            at = offset + length
        rest.update(content[at:])
        self.assertEqual(content[96:128], rest.digest())

    def test_rejected_photos_and_unicode_names(self):
        name = "fehlt \u00e4\u20ac\u65e5.jpg"
        with open(self.at("photos.tsv"), "w", encoding="utf-8") as f:
            f.write(f"path\n{name}\nb.jpg\n")
        self.hemline("ingest", self.at("rejected.h5"), "--manifest", self.at("photos.tsv"), code=3)
        with h5py.File(self.at("rejected.h5"), "r") as file:
            self.assertEqual(text(file["rejected"]["path"][()]), [self.at(name), self.at("b.jpg")])
            self.assertTrue(all(text(file["rejected"]["reason"][()])))
            self.assertEqual({len(c) for c in file["photos"].values()}, {0})
            self.assertEqual(len(next(iter(file["embeddings"].values()))), 0)

    def test_one_photo(self):
        folder = self.at("one")
        os.mkdir(folder)
        support.write_idx(folder, "t10k", [42])
        self.hemline("ingest", self.at("one.h5"), "--idx", folder, "-f", "pixels", "-q")
        with h5py.File(self.at("one.h5"), "r") as file:
            self.assertEqual(bytes(file["embeddings"]["pixels"][0].astype(numpy.uint8)), support.pixels(42))
            self.assertEqual(text(file["photos"]["label"][()]), ["pullover"])


if __name__ == "__main__":
    support.main()
