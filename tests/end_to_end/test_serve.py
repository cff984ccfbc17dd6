"""`hemline serve` as a service: under systemd's protocol, through changes of its store, logs that are turned over, what it
collects, and how it ends. What it answers is tested in test_http.py and unit/test_socket.c."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

import support

VECTOR = {"Content-Type": "application/octet-stream"}


class Server:
    """A running server, what it says, and how to ask it."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, **options)
        self.said, self.port, self.ready = [], None, threading.Event()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        self.ready.wait(60)

    def read(self):
        for line in self.process.stderr:
            self.said.append(line.decode())
            found = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
            if b"listening on" in line:
                self.ready.set()
        self.ready.set()

    def ask(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request(method, path, body, headers or {})
            answer = c.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            c.close()

    def generation(self):
        return self.ask("GET", "/v1/info")[1]["generation"]

    def heard(self, words, seconds=30):
        """Waits until it has said so."""
        return support.wait_for(lambda: any(words in line for line in self.said), seconds)

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=60)
        self.reader.join()
        self.process.stderr.close()
        return code


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Serve(support.Case):
    def setUp(self):
        """A store of its own for each test: one generation of 40 photos."""
        self.name = self.id().rsplit(".", 1)[1]
        os.mkdir(self.here("photos"))
        with open(self.here("list.tsv"), "w", encoding="ascii") as f:
            f.write("path\titem_id\tcategory\tdomain\n")
            for i in range(80):
                support.write_png(self.here(f"photos/{i}.png"), i)
                f.write(f"photos/{i}.png\titem-{i % 40}\tdress\t{'shop' if i < 40 else 'consumer'}\n")
        self.hemline("ingest", self.here("catalog.h5"), "--manifest", self.here("list.tsv"), "--features", "color")
        self.publish()

    def here(self, name):
        os.makedirs(self.at(self.name), exist_ok=True)
        return os.path.join(self.at(self.name), name)

    def publish(self):
        self.hemline("index", self.here("catalog.h5"), "-o", self.here("store"))

    def serve(self, *options, command=None, **others):
        command = command or [support.HEMLINE, "serve", self.here("store")]
        server = Server([*command, *options], **others)
        self.addCleanup(lambda: server.process.poll() is None and server.end(signal.SIGKILL))
        return server

    def photo(self, i):
        with open(self.here(f"photos/{i}.png"), "rb") as f:
            return f.read()

    # ---- the store changes ----

    def test_a_new_generation_and_a_rollback_are_taken_up(self):
        server = self.serve("--http", "127.0.0.1:0")
        self.assertEqual(server.generation(), "000001")
        self.publish()
        self.assertTrue(support.wait_for(lambda: server.generation() == "000002"))
        self.hemline("rollback", self.here("store"))
        self.assertTrue(support.wait_for(lambda: server.generation() == "000003"))
        self.assertEqual(server.end(), 0)

    def test_a_damaged_generation_is_not(self):
        server = self.serve("--http", "127.0.0.1:0")
        with open(self.here("store/CURRENT"), "w", encoding="ascii") as f:
            f.write("000002 " + 64 * "0" + "\n")
        self.assertTrue(server.heard("still answering from the generation before"))
        status, answer = server.ask("POST", "/v1/query", self.photo(3), {"Content-Type": "image/png"})
        self.assertEqual((status, answer["generation"]), (200, "000001"))
        status, answer = server.ask("POST", "/v1/reload")
        self.assertNotEqual(status, 200)
        self.assertIn("000002", answer["error"]["message"])
        self.assertEqual(server.end(), 0)

    # ---- what is written down ----

    def test_the_access_log_is_opened_anew(self):
        log, moved = self.here("access.log"), self.here("access.log.1")
        server = self.serve("--http", "127.0.0.1:0", "--access-log", log)
        server.ask("POST", "/v1/query", self.photo(3), {"Content-Type": "image/png"})
        self.assertTrue(support.wait_for(lambda: lines_of(log)))
        os.rename(log, moved)
        server.process.send_signal(signal.SIGHUP)
        self.assertTrue(support.wait_for(lambda: os.path.exists(log)))
        server.ask("POST", "/v1/query", b"no photo", {"Content-Type": "image/png"})
        self.assertTrue(support.wait_for(lambda: lines_of(log)))
        self.assertEqual(server.end(), 0)
        before, after = lines_of(moved)[-1], lines_of(log)[-1]
        self.assertEqual((before["status"], before["http"], before["by"]), ("HEM_OK", 200, "photo"))
        self.assertGreater(before["decode_ms"], 0)
        self.assertEqual(before["generation"], "000001")
        self.assertNotEqual(after["status"], "HEM_OK")
        self.assertEqual(os.stat(log).st_mode & 0o777, 0o600)

    def test_what_is_collected_shows_drift_and_no_photo(self):
        collected = self.here("collected")
        server = self.serve("--http", "127.0.0.1:0", "--collect", collected)
        for i in range(40, 80):
            status, answer = server.ask("POST", "/v1/query?k=3", self.photo(i), {"Content-Type": "image/png"})
            self.assertEqual(status, 200)
        self.assertEqual(server.end(), 0)
        lines = lines_of(os.path.join(collected, "answers-000001.jsonl"))
        self.assertEqual(len(lines), 40)
        self.assertEqual([h["item_id"] for h in lines[-1]["hits"]], [h["item_id"] for h in answer["hits"]])
        self.assertRegex(lines[0]["input_sha256"], "^[0-9a-f]{64}$")
        self.assertEqual(len({line["input_sha256"] for line in lines}), 40)
        drift = self.json("drift", self.here("store"), collected, "--json")
        self.assertEqual((drift["expected_of"], drift["all"]["asked"], drift["all"]["expected"]), ("customers", 40, 40))
        self.assertEqual(drift["all"]["ks"], 0)  # the same photos were asked
        self.assertEqual(drift["all"]["verdict"], "no drift seen")
        self.hemline("drift", self.here("store"), collected, "--report", self.here("drift.html"))
        with open(self.here("drift.html"), encoding="utf-8") as f:
            self.assertIn("no drift seen", f.read())

    # ---- beginning and end ----

    def test_signals_end_it_well(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            server = self.serve("--unix", self.here("socket"), "--http", "127.0.0.1:0")
            self.assertTrue(os.path.exists(self.here("socket")))
            self.assertEqual(server.end(how), 0)
            self.assertFalse(os.path.exists(self.here("socket")))

    def test_systemd_hears_what_it_wants_to(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(self.here("notify"))
            notify.settimeout(30)
            server = self.serve("--http", "127.0.0.1:0", env={**os.environ, "NOTIFY_SOCKET": self.here("notify")})
            self.assertTrue(notify.recv(256).startswith(b"READY=1\n"))
            server.process.send_signal(signal.SIGHUP)
            self.assertRegex(notify.recv(256), rb"^RELOADING=1\nMONOTONIC_USEC=\d+\n$")
            self.assertTrue(notify.recv(256).startswith(b"READY=1\n"))
            server.process.send_signal(signal.SIGTERM)
            self.assertTrue(notify.recv(256).startswith(b"STOPPING=1\n"))
            self.assertEqual(server.end(), 0)

    def activated(self, *sockets):
        """Starts it with these as descriptors 3, 4 ..., as systemd does."""
        def hand_over():
            for i, s in enumerate(sockets):
                os.dup2(s.fileno(), 20 + i)
            for i in range(len(sockets)):
                os.dup2(20 + i, 3 + i)
        script = 'export LISTEN_PID=$$; exec "$@"'
        return self.serve(command=["sh", "-c", script, "sh", support.HEMLINE, "serve", self.here("store")],
                          env={**os.environ, "LISTEN_FDS": str(len(sockets))}, preexec_fn=hand_over, close_fds=False)

    def test_sockets_that_are_handed_over_are_answered_on(self):
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            unix.bind(self.here("unix"))
            unix.listen()
            server = self.activated(unix, tcp)
            server.port = tcp.getsockname()[1]
            self.assertEqual(server.generation(), "000001")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.here("unix"))
            self.assertEqual(server.end(), 0)
            self.assertTrue(os.path.exists(self.here("unix")), "a socket that systemd made is systemd's to remove")

    def test_a_socket_that_does_not_fit_is_refused(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            server = self.activated(udp)
            self.assertEqual(server.end(), 1)
            self.assertTrue(any("descriptor 3" in line for line in server.said), server.said)


if __name__ == "__main__":
    support.main()
