"""20,000 photos of which every twentieth is broken, each in its own way: every good one is in, every bad one is listed
with its reason, and the run ends with 3."""
import os
import struct
import subprocess
import zlib

import support

COUNT, EVERY = 20000, 20
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='30'><rect width='40' height='30'/></svg>"
BMP = b"BM" + (58).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + bytes(44)


def cut(photo):
    return photo[:len(photo) * 2 // 3]


def flip(photo):
    middle = len(photo) // 2
    return photo[:middle] + bytes([photo[middle] ^ 0x40]) + photo[middle + 1:]


def huge(photo):
    """A header that claims 60,000 x 60,000 pixels, with the right checksum."""
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + photo[24:29]
    return photo[:12] + header + struct.pack(">I", zlib.crc32(header)) + photo[33:]


# What a file becomes (None: it is not there), and a word of the reason.
BROKEN = (
    (lambda photo: b"", "empty"),
    (cut, "damaged"),
    (flip, "damaged"),
    (lambda photo: GIF, "not a JPEG, PNG, WebP or AVIF"),
    (lambda photo: SVG, "not a JPEG, PNG, WebP or AVIF"),
    (lambda photo: BMP, "not a JPEG, PNG, WebP or AVIF"),
    (lambda photo: b"<html>404 not found</html>", "not a JPEG, PNG, WebP or AVIF"),
    (huge, "pixels"),
    (None, "No such file"),
)


class Many(support.Case):
    def test_every_good_photo_is_in_and_every_bad_one_is_listed(self):
        support.write_png(self.at("seed.png"), 1)
        with open(self.at("seed.png"), "rb") as f:
            seed = f.read()
        good, bad = [], {}
        for i in range(COUNT):
            path = self.at(f"{i}.png")
            if i % EVERY:
                good.append(path)
                content = seed
            else:
                change, bad[path] = BROKEN[i // EVERY % len(BROKEN)]
                content = change(seed) if change else None
            if content is not None:
                with open(path, "wb") as f:
                    f.write(content)
        with open(self.at("many.tsv"), "w", encoding="utf-8") as f:
            f.write("path\titem_id\n" + "".join(f"{i}.png\t{i}\n" for i in range(COUNT)))
        catalog = self.at("many.h5")
        _, err = self.hemline("ingest", catalog, "--manifest", self.at("many.tsv"), "-f", "color", "-q", code=3)
        self.assertEqual((len(good), len(bad)), (19000, 1000))
        self.assertIn("19,000 added", err)
        self.assertIn("1,000 rejected", err)
        self.assertIn("rejected, most frequent reason first:", err)
        said = dict(self.rejections(catalog))
        self.assertEqual(set(said), {os.path.realpath(os.path.dirname(p)) + "/" + os.path.basename(p) for p in bad})
        for path, word in bad.items():
            self.assertIn(word, said[os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)])
        # Again: nothing to do but to look at the bad ones once more.
        _, err = self.hemline("ingest", catalog, "--manifest", self.at("many.tsv"), "-f", "color", "-q", code=3)
        self.assertIn("0 added, 19,000 already there, 1,000 rejected", err)

    def rejections(self, catalog):
        done = subprocess.run([support.HEMLINE, "info", catalog, "--rejected"], stdout=subprocess.PIPE, check=True)
        for line in done.stdout.decode("utf-8").splitlines():
            path, tab, reason = line.partition("\t")
            if tab:
                yield path, reason


if __name__ == "__main__":
    support.main()
