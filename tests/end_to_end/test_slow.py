"""200 clients that send one byte a second, beside a good one: it notices next to nothing of them, whichever way it comes
in, and in the end the server cuts them. $BENCH_SLOW is the program that asks (bench/slow_main.c)."""
import json
import os
import re
import subprocess
import unittest

import support

CLIENTS = 200
DEADLINE = {"http": 10, "unix": 30}  # seconds in which a request has to come in (docs/serving.md, docs/protocol.md)


class Slow(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.mkdir(cls.at("photos"))
        with open(cls.at("list.tsv"), "w", encoding="ascii") as f:
            f.write("path\titem_id\tcategory\n")
            for i in range(100):
                support.write_png(cls.at(f"photos/{i}.png"), i)
                f.write(f"photos/{i}.png\titem-{i}\tdress\n")
        cls.hemline("ingest", cls.at("catalog.h5"), "--manifest", cls.at("list.tsv"), "--features", "color")
        cls.hemline("index", cls.at("catalog.h5"), "-o", cls.at("store"))
        cls.server = subprocess.Popen([support.HEMLINE, "serve", cls.at("store"), "--unix", cls.at("socket"), "--http",
                                       "127.0.0.1:0"], stderr=subprocess.PIPE)
        cls.addClassCleanup(cls.stop)
        cls.port = None
        for line in cls.server.stderr:
            found = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
            if found:
                cls.port = int(found[1])
                break

    @classmethod
    def stop(cls):
        cls.server.terminate()
        code = cls.server.wait(timeout=60)
        cls.server.stderr.close()
        assert code == 0, f"the server ended with {code}"

    def test_a_good_client_does_not_wait_for_slow_ones(self):
        done = subprocess.run([os.environ["BENCH_SLOW"], self.at("socket"), str(self.port), "-c", str(CLIENTS), "-r", "3",
                               "-s", "0.5", "-w"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=200)
        print(done.stdout.decode(), done.stderr.decode())
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        ways = {way["door"]: way for way in map(json.loads, done.stdout.decode().splitlines())}
        self.assertEqual(set(ways), set(DEADLINE))
        for name, way in ways.items():
            self.assertLess(way["p50_us_ratio"], 2, name)  # loose: measured is 1.0 (docs/performance.md)
            self.assertGreater(way["qps_ratio"], 0.4, name)
            self.assertEqual(way["cut"], CLIENTS, name)
            # A byte a second gives nobody more time; the server looks once a second or more often.
            self.assertGreater(way["first_cut_s"], DEADLINE[name] - 2, name)
            self.assertLess(way["last_cut_s"], DEADLINE[name] + 8, name)


if __name__ == "__main__":
    support.main()
