"""A server under mixed load while its store changes every two seconds: no error, no answer of the wrong generation, and
memory that stays where it was. $HEMLINE_SOAK says for how many seconds (default: 8); $BENCH_SOAK is the load's program."""
import json
import os
import re
import subprocess
import threading
import unittest

import support

SECONDS = float(os.environ.get("HEMLINE_SOAK", "8"))
EVERY = 2


def private_kib(pid):
    """What the process has of its own: mapped files are shared with everybody."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Dirty", "Private_Clean")))


class Soak(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.mkdir(cls.at("photos"))
        for i in range(300):
            support.write_png(cls.at(f"photos/{i}.png"), i)
        for name in "ab":
            with open(cls.at(f"{name}.tsv"), "w", encoding="ascii") as f:
                f.write("path\titem_id\tcategory\n")
                f.writelines(f"photos/{i}.png\t{name}-{i // 2}\t{'dress' if i % 3 else 'skirt'}\n" for i in range(300))
            cls.hemline("ingest", cls.at(f"{name}.h5"), "--manifest", cls.at(f"{name}.tsv"), "--features", "color")
            cls.hemline("index", cls.at(f"{name}.h5"), "-o", cls.at("store"))
        cls.server = subprocess.Popen([support.HEMLINE, "serve", cls.at("store"), "--unix", cls.at("socket"), "--http",
                                       "127.0.0.1:0", "--access-log", cls.at("access.log")], stderr=subprocess.PIPE)
        cls.addClassCleanup(cls.stop)
        cls.port = None
        for line in cls.server.stderr:
            found = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
            if found:
                cls.port = int(found[1])
                break
        cls.said = []
        cls.reader = threading.Thread(target=lambda: cls.said.extend(cls.server.stderr))
        cls.reader.start()

    @classmethod
    def stop(cls):
        cls.server.terminate()
        code = cls.server.wait(timeout=60)
        cls.reader.join()
        cls.server.stderr.close()
        assert code == 0, f"the server ended with {code}: {b''.join(cls.said).decode()}"

    def swap_until(self, stopped):
        """Each rollback publishes the generation before once more: a and b take turns."""
        while not stopped.wait(EVERY):
            self.hemline("rollback", self.at("store"))
            self.swaps += 1
            self.memory.append(private_kib(self.server.pid))

    def test_swaps_under_load(self):
        stopped, self.swaps, self.memory = threading.Event(), 0, []
        swapper = threading.Thread(target=self.swap_until, args=(stopped,))
        swapper.start()
        done = subprocess.run([os.environ["BENCH_SOAK"], self.at("socket"), str(self.port), str(SECONDS),
                               self.at("photos/0.png")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=SECONDS + 120)
        stopped.set()
        swapper.join()
        print(done.stdout.decode(), f"{self.swaps} swaps, private memory {self.memory} KiB", done.stderr.decode())
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        for line in done.stdout.decode().splitlines():
            self.assertGreater(json.loads(line)["answers"], 0, line)
        self.assertGreaterEqual(self.swaps, 2)
        with open(self.at("access.log"), encoding="utf-8") as log:
            generations = {json.loads(line).get("generation") for line in log}
        self.assertGreaterEqual(len(generations - {None}), self.swaps, "not every generation was taken up")
        # The first quarter warms up. ThreadSanitizer's own memory grows with what it has seen.
        if SECONDS >= 60 and "TSAN_OPTIONS" not in os.environ:
            early = sorted(self.memory[len(self.memory) // 4:len(self.memory) // 2])
            late = sorted(self.memory[-len(early):])
            self.assertLess(late[len(late) // 2], 1.05 * early[len(early) // 2] + 1024, "memory grows")


if __name__ == "__main__":
    support.main()
