"""A store's vectors are in memory once, however many processes have it open."""
import array
import os
import random
import re
import struct
import subprocess
import unittest

import support

SHARE = os.environ.get("HEMLINE_SHARE", "")
ROWS, DIM = 8000, 256


class Share(support.Case):
    @unittest.skipUnless(os.path.exists("/proc/self/smaps_rollup"), "this kernel does not say what is shared")
    def test_a_second_process_maps_what_the_first_did(self):
        dice = random.Random(1)
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {DIM}), }}".encode().ljust(117) + b"\n"
        with open(self.at("v.npy"), "wb") as f:
            f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
            f.write(array.array("f", (dice.random() for _ in range(ROWS * DIM))).tobytes())
        self.hemline("ingest", self.at("v.h5"), "--vectors", self.at("v.npy"), "-q")
        self.hemline("index", self.at("v.h5"), "-o", self.at("store"), "--kind", "flat", "-q")
        done = subprocess.run([SHARE, self.at("store")], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        print(done.stdout)
        row = re.search(r"^second process +(\S+) +(\S+) +(\S+)", done.stdout, re.MULTILINE)
        private, shared = float(row[1]), float(row[2])
        vectors = ROWS * DIM * 4 / 2**20
        self.assertLess(private, vectors / 4)
        self.assertGreater(shared, vectors * 0.9)


if __name__ == "__main__":
    support.main()
