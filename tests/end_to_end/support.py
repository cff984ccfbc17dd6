"""What the end-to-end tests share: the command, made-up inputs, and how CTest learns of a skip."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

SOURCE = os.environ.get("HEMLINE_SOURCE", os.getcwd())
HEMLINE = os.environ.get("HEMLINE", "hemline")
SHARED = os.path.join(SOURCE, "..", "shared", "data")


def pixels(number, width=28, height=28, channels=1):
    """Made-up bytes that no other number has: a bright bar on noise."""
    state, out = number * 2654435761 % 2**32 or 1, bytearray()
    for i in range(width * height * channels):
        state = (state * 1664525 + 1013904223) % 2**32
        row = i // (width * channels)
        out.append((state >> 26) + (160 if row % 10 == number % 10 else 0))
    return bytes(out)


def write_idx(folder, prefix, numbers):
    """A half of Fashion-MNIST's format: photo `number` has label number % 10."""
    numbers = list(numbers)
    with open(os.path.join(folder, prefix + "-images-idx3-ubyte"), "wb") as f:
        f.write(struct.pack(">IIII", 0x803, len(numbers), 28, 28) + b"".join(pixels(n) for n in numbers))
    with open(os.path.join(folder, prefix + "-labels-idx1-ubyte"), "wb") as f:
        f.write(struct.pack(">II", 0x801, len(numbers)) + bytes(n % 10 for n in numbers))


def write_png(path, number, width=40, height=30):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rgb, row = pixels(number, width, height, 3), width * 3
    raw = b"".join(b"\0" + rgb[y * row:(y + 1) * row] for y in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


class Case(unittest.TestCase):
    """A test class with one folder for all of its tests."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="hemline-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def run_hemline(cls, *arguments, stdin=None):
        return subprocess.run([HEMLINE, *map(str, arguments)], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=240, check=False)

    @classmethod
    def hemline(cls, *arguments, code=0, stdin=None):
        """Runs the command, insists on its exit code, and returns (stdout, stderr) as text."""
        done = cls.run_hemline(*arguments, stdin=stdin)
        out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        if done.returncode != code:
            raise AssertionError(f"hemline {' '.join(map(str, arguments))}: exit {done.returncode}, not {code}\n{out}{err}")
        return out, err

    @classmethod
    def json(cls, *arguments, code=0):
        return json.loads(cls.hemline(*arguments, code=code)[0])


def main():
    """As unittest's, but 77 (CTest's skip) where every test was skipped."""
    result = unittest.main(exit=False, verbosity=1).result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)


def wait_for(what, seconds=30):
    """Whether `what` comes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
