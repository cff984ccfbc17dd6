"""REST, as clients see it: every endpoint, every refusal, framing that is in doubt, clients that are slow."""
import base64
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest

import support

try:
    import jsonschema
except ImportError:
    jsonschema = None

TOKEN = "a-token-of-the-test"


class Served(support.Case):
    """A store of 40 photos of 20 items in two categories, served."""
    options = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.mkdir(cls.at("photos"))
        lines = ["path\titem_id\tcategory\tlabel\tdomain"]
        for i in range(44):
            support.write_png(cls.at(f"photos/{i}.png"), i)
            domain = "shop" if i < 40 else "consumer"
            lines.append(f"photos/{i}.png\titem {i // 2}/ä\t{'dress' if i % 4 < 2 else 'skirt'}\tl{i % 3}\t{domain}")
        with open(cls.at("list.tsv"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        cls.hemline("ingest", cls.at("catalog.h5"), "--manifest", cls.at("list.tsv"), "--features", "color")
        cls.hemline("index", cls.at("catalog.h5"), "-o", cls.at("store"))
        with open(cls.at("token"), "w", encoding="ascii") as f:
            f.write(TOKEN + "\n")
        cls.server, cls.port = cls.serve(*[o.format(token=cls.at("token")) for o in cls.options])
        cls.dim = json.loads(cls.ask("GET", "/v1/info", headers=cls.bearer())[2])["dim"]

    @classmethod
    def serve(cls, *options):
        server = subprocess.Popen([support.HEMLINE, "serve", cls.at("store"), "--http", "127.0.0.1:0", *options],
                                  stderr=subprocess.PIPE)
        cls.addClassCleanup(cls.stop, server)
        for line in server.stderr:
            port = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
            if port:
                return server, int(port[1])
        raise AssertionError("the server did not start")

    @classmethod
    def stop(cls, server):
        if server.poll() is None:
            server.terminate()
        code = server.wait(timeout=60)
        said = server.stderr.read().decode()
        server.stderr.close()
        assert code == 0, f"the server ended with {code}: {said}"

    @classmethod
    def bearer(cls):
        return {"Authorization": f"Bearer {TOKEN}"} if cls.options else {}

    @classmethod
    def ask(cls, method, path, body=None, headers=None, port=None):
        """(status, headers, body) of one request on a connection of its own."""
        c = http.client.HTTPConnection("127.0.0.1", port or cls.port, timeout=30)
        try:
            c.request(method, path, body, headers or {})
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            c.close()

    @classmethod
    def post(cls, path, body, kind="application/json"):
        if kind == "application/json" and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        status, headers, text = cls.ask("POST", path, body, {"Content-Type": kind, **cls.bearer()})
        return status, json.loads(text), headers

    @classmethod
    def raw(cls, *parts, pause=0.0, timeout=20):
        """Sends bytes as they are, and returns all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", cls.port), timeout=timeout) as s:
            for part in parts:
                try:
                    s.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
                time.sleep(pause)
            got = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    break
                if not more:
                    break
                got += more
            return got

    @classmethod
    def photo(cls, number):
        with open(cls.at(f"photos/{number}.png"), "rb") as f:
            return f.read()

    @classmethod
    def vector(cls, seed=1):
        return [((i * 7919 + seed * 104729) % 1000) / 1000 for i in range(cls.dim)]

    @classmethod
    def floats(cls, *seeds):
        return b"".join(struct.pack(f"<{cls.dim}f", *cls.vector(s)) for s in seeds)

    @staticmethod
    def form(*fields):
        """A multipart body of (name, bytes) and its type."""
        body = b"".join(b'--XX\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' %
                        (n.encode(), b'; filename="a;name=b.png"' if n == "photo" else b"", v) for n, v in fields)
        return body + b"--XX--\r\n", "multipart/form-data; boundary=XX"


def items(answer):
    return [hit["item_id"] for hit in answer["hits"]]


class Questions(Served):
    def test_the_same_photo_asked_in_each_way_is_answered_the_same(self):
        photo = self.photo(6)
        answers = [
            self.post("/v1/query?k=5", photo, "image/png"),
            self.post("/v1/query?k=5", photo, "image/jpeg"),  # what it is, its bytes say
            self.post("/v1/query", *self.form(("photo", photo), ("k", b"5"))),
            self.post("/v1/query", {"photo_base64": base64.b64encode(photo).decode(), "k": 5}),
        ]
        for status, answer, _ in answers:
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["hits"], answers[0][1]["hits"])
        self.assertEqual(answers[0][1]["hits"][0]["item_id"], "item 3/ä")
        self.assertEqual(answers[0][1]["hits"][0]["distance"], 0)
        self.assertGreater(answers[0][1]["timing"]["decode_ms"], 0)

    def test_the_same_vector_asked_in_each_way_is_answered_the_same(self):
        binary = self.post("/v1/query?k=7", self.floats(3), "application/octet-stream")
        as_json = self.post("/v1/query", {"vector": self.vector(3), "k": 7})
        self.assertEqual(binary[0], 200, binary[1])
        self.assertEqual(binary[1]["hits"], as_json[1]["hits"])
        self.assertEqual(len(binary[1]["hits"]), 7)
        self.assertEqual(binary[1]["generation"], "000001")
        self.assertIn("search_ms", binary[1]["timing"])

    def test_an_item_is_answered_with_others(self):
        status, answer, _ = self.post("/v1/query", {"item_id": "item 3/ä", "k": 19})
        self.assertEqual(status, 200, answer)
        self.assertEqual(len(answer["hits"]), 19)
        self.assertNotIn("item 3/ä", items(answer))

    def test_options(self):
        def ask(query):
            status, answer, _ = self.post("/v1/query?" + query, self.floats(1), "application/octet-stream")
            self.assertEqual(status, 200, answer)
            return answer
        self.assertEqual({h["category"] for h in ask("category=skirt")["hits"]}, {"skirt"})
        self.assertEqual({h["category"] for h in ask("categories=skirt,dress&k=20")["hits"]}, {"skirt", "dress"})
        self.assertEqual({h["label"] for h in ask("label=l1&k=40&photos=true")["hits"]}, {"l1"})
        self.assertEqual({h["label"] for h in ask("labels=l1,l2&k=40&photos=1")["hits"]}, {"l1", "l2"})
        self.assertEqual(len(ask("photos=true&k=40")["hits"]), 40)
        self.assertEqual(len(ask("k=40")["hits"]), 20)
        self.assertEqual(ask("k=40")["shortfall"], "the categories searched hold fewer")
        self.assertEqual(ask("name=%C3%A4+b&k=1")["query"], "ä b")
        self.assertEqual(ask("exact=true&plain=true&k=3")["hits"], ask("k=3")["hits"])

    def test_a_box_is_cut_out_before_it_is_embedded(self):
        photo = self.photo(6)
        whole = self.post("/v1/query?k=3", photo, "image/png")[1]
        pixels = self.post("/v1/query?k=3&box=0,0,20,30", photo, "image/png")[1]
        parts = self.post("/v1/query?k=3&box=0.0,0.0,0.5,1.0", photo, "image/png")[1]
        said = self.post("/v1/query?k=3&box=0,0,0.5,1&box_unit=parts", photo, "image/png")[1]
        as_json = self.post("/v1/query", {"photo_base64": base64.b64encode(photo).decode(), "k": 3,
                                          "box": [0.0, 0, 0.5, 1]})[1]
        self.assertNotEqual(whole["hits"], pixels["hits"])
        for other in (parts, said, as_json):
            self.assertEqual(pixels["hits"], other["hits"])

    def test_batches(self):
        binary = self.post("/v1/query/batch?count=3&k=4", self.floats(1, 2, 3), "application/octet-stream")[1]
        as_json = self.post("/v1/query/batch", {"k": 4, "queries": [{"vector": self.vector(s)} for s in (1, 2, 3)]})[1]
        self.assertEqual([a["hits"] for a in binary["answers"]], [a["hits"] for a in as_json["answers"]])
        self.assertEqual([len(a["hits"]) for a in binary["answers"]], [4, 4, 4])
        single = self.post("/v1/query?k=4", self.floats(2), "application/octet-stream")[1]
        self.assertEqual(binary["answers"][1]["hits"], single["hits"])
        many = self.post("/v1/query/batch?count=100&k=1", self.floats(*range(100)), "application/octet-stream")[1]
        self.assertEqual(len(many["answers"]), 100)  # not on the thread that read it
        mixed = self.post("/v1/query/batch", {"k": 4, "queries": [
            {"item_id": "item 1/ä", "k": 2}, {"item_id": "nobody"},
            {"photo_base64": base64.b64encode(self.photo(6)).decode()},
            {"photo_base64": base64.b64encode(b"no photo").decode()}]})
        self.assertEqual(mixed[0], 200)
        first, missing, photo, broken = mixed[1]["answers"]
        self.assertEqual(len(first["hits"]), 2)
        self.assertEqual(missing["error"]["status"], 404)
        self.assertEqual(len(photo["hits"]), 4)
        self.assertEqual(broken["error"]["status"], 422)

    def test_score(self):
        photo = base64.b64encode(self.photo(6)).decode()
        for key in ("data", "input_df"):
            status, answer, _ = self.post("/score", {key: [self.vector(1), {"item_id": "item 1/ä"}, photo], "k": 2})
            self.assertEqual(status, 200, answer)
            self.assertIsInstance(answer, list)
            self.assertEqual([len(a["hits"]) for a in answer], [2, 2, 2])
            self.assertEqual(answer[2]["hits"][0]["item_id"], "item 3/ä")
        one = self.post("/score", {"data": self.vector(1), "k": 2})[1]
        self.assertEqual(one[0]["hits"], self.post("/v1/query", {"vector": self.vector(1), "k": 2})[1]["hits"])
        self.assertEqual(len(self.post("/score", {"data": photo})[1]), 1)
        for wrong in ({}, {"data": []}, {"data": 3}, {"data": [[]]}, {"data": [1], "input_df": [1]}, {"data": {}}):
            self.assertEqual(self.post("/score", wrong)[0], 400, wrong)

    def test_a_connection_is_kept(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        ports = set()
        for i in range(50):
            kind, body = [("application/octet-stream", self.floats(i)), ("image/png", self.photo(i % 40)),
                          ("application/json", b"{"), ("application/json", b'{"item_id": "no such"}')][i % 4]
            c.request("POST", "/v1/query?k=1", body, {"Content-Type": kind})
            answer = c.getresponse()
            self.assertEqual((answer.status, bool(answer.read())), ([200, 200, 400, 404][i % 4], True))
            ports.add(c.sock.getsockname()[1])
        c.request("GET", "/nowhere")
        self.assertEqual(c.getresponse().read()[:9], b'{"error":')
        ports.add(c.sock.getsockname()[1])
        c.close()
        self.assertEqual(len(ports), 1)

    def test_a_chunked_body(self):
        body = self.floats(1)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request("POST", "/v1/query?k=1", iter([body[:100], body[100:101], body[101:]]),
                  {"Content-Type": "application/octet-stream"}, encode_chunked=True)
        answer = c.getresponse()
        self.assertEqual((answer.status, len(json.loads(answer.read())["hits"])), (200, 1))
        c.close()

    def test_many_at_once(self):
        wrong = []

        def client(number):
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for i in range(20):
                photo = i % 5 == 0
                c.request("POST", "/v1/query?k=3", self.photo(number) if photo else self.floats(number),
                          {"Content-Type": "image/png" if photo else "application/octet-stream"})
                answer = json.loads(c.getresponse().read())
                if len(answer.get("hits", [])) != 3:
                    wrong.append(answer)
            c.close()
        threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])


class Refusals(Served):
    def refused(self, status, answer, code=None, words=None):
        self.assertEqual(answer[0], status, answer[1])
        error = answer[1]["error"]
        self.assertEqual(error["status"], status)
        if code:
            self.assertEqual(error["code"], code)
        if words:
            self.assertIn(words, error["message"])

    def test_bodies_that_make_no_sense(self):
        post = self.post
        for body, words in ((b"", "JSON"), (b"{", "JSON"), (b"[]", "object"), (b"[" * 100, "deeply"), (b'{"vector":[1],"vector":[1]}', "duplicate"),
                            (b"{}", "one of"), (b'{"item_id":"a","vector":[1]}', "one of"), (b'{"vector":[]}', "list"),
                            (b'{"vector":["a"]}', "value 0"), (b'{"vector":[1e300]}', "value 0"), (b'{"item_id":""}', "item_id"),
                            (b'{"photo_base64":"A==="}', "base64"), (b'{"photo_base64":"AA=A"}', "base64"),
                            (b'{"photo_base64":"AB=="}', "base64"), (b'{"item_id":"a","k":0}', "k wants"),
                            (b'{"item_id":"a","k":1.5}', "k wants"), (b'{"item_id":"a","K":1}', "'K'"),
                            (b'{"item_id":"a","explain":1}', "true or false"), (b'{"item_id":"a","box":[0,0,1,1]}', "part of a photo"),
                            (b'{"photo_base64":"AAAA","box":[0,0,0,1]}', "box"), (b'{"photo_base64":"AAAA","box":[0,0,1]}', "box"),
                            (b'{"item_id":"a","min_probability":2}', "min_probability"), (b'{"item_id":"a\\u0000b"}', "JSON"),
                            (b'{"item_id":"a","category":"x","categories":["x"]}', "once"), (b'{"item_id":"a","category":[]', "JSON"),
                            (b'{"item_id":"\xff"}', "decode")):
            self.refused(400, post("/v1/query", body), "HEM_EINVAL", words)
        self.refused(400, post("/v1/query", b"[" + b"1," * 1100000 + b"1]"), None, "too many values")
        for query, words in (("k=0", "k wants"), ("k=1&k=2", "twice"), ("nothing=1", "nothing"), ("k", "no value"), ("k=%zz", "hexadecimal"),
                             ("k=%00", "zero"), ("name=%ff", "UTF-8"), ("k=0x10", "number"), ("box=1,2,3", "box"),
                             ("exact=maybe", "exact"), ("category=", "category"), ("count=1", "count")):
            self.refused(400, post("/v1/query?" + query, self.floats(1), "application/octet-stream"), "HEM_EINVAL", words)
        self.refused(400, post("/v1/query", b"abc", "application/octet-stream"), "HEM_EINVAL")
        self.refused(400, post("/v1/query", b"", "application/octet-stream"), "HEM_EINVAL")
        self.refused(400, post("/v1/query", b"abcd", "application/octet-stream"), "HEM_EMISMATCH")
        self.refused(400, post("/v1/query", struct.pack("<f", float("nan")) * self.dim, "application/octet-stream"))
        self.refused(400, post("/v1/query/batch", self.floats(1, 2), "application/octet-stream"), None, "count")
        self.refused(400, post("/v1/query/batch?count=3", self.floats(1, 2) + b"\0", "application/octet-stream"), None, "vectors")
        self.refused(400, post("/v1/query/batch", {"queries": []}))
        self.refused(400, post("/v1/query/batch", {"queries": [{"item_id": "a"}] * 1025}))
        self.refused(400, post("/v1/query/batch", {"queries": [{"item_id": "a"}, {"item_id": 3}]}), None, "question 1")
        self.refused(404, post("/v1/query", {"item_id": "nobody"}), "HEM_ENOTFOUND", "nobody")
        self.refused(404, post("/v1/query", {"item_id": "item 1/ä", "categories": ["shoe"]}), "HEM_ENOTFOUND", "shoe")

    def test_photos_that_are_none(self):
        self.refused(422, self.post("/v1/query", b"no photo", "image/jpeg"))
        self.refused(422, self.post("/v1/query", self.photo(1)[:200], "image/png"))
        self.refused(422, self.post("/v1/query", *self.form(("photo", b"no photo"))))
        self.refused(400, self.post("/v1/query", b"", "image/jpeg"))
        self.refused(400, self.post("/v1/query?box=500,500,10,10", self.photo(1), "image/png"), "HEM_EINVAL")

    def test_forms_that_are_malformed(self):
        good, kind = self.form(("photo", self.photo(1)), ("k", b"2"))
        self.assertEqual(self.post("/v1/query", good, kind)[0], 200)
        self.assertEqual(self.post("/v1/query", b"preamble\r\n" + good, kind)[0], 200)
        self.assertEqual(self.post("/v1/query", good, 'multipart/form-data; a="b;boundary=YY"; boundary="XX"')[0], 200)
        for body, given in ((good[:-8], kind), (good, "multipart/form-data"), (good, kind + "Y"), (b"", kind), (b"--XX--", kind),
                            (b"--XX\r\n\r\nx\r\n--XX--", kind), (good.replace(b"photo", b"picture"), kind),
                            (good.replace(b'name="k"', b'name="photo"'), kind), (good.replace(b"\r\n2\r\n", b"\r\n\0\r\n"), kind),
                            (good.replace(b"--XX\r\n", b"--XXz\r\n"), kind), (b'--XX\r\nContent-Disposition: form-data; name="' + b"a" * 99 + b'"\r\n\r\n\r\n--XX--', kind)):
            self.refused(400, self.post("/v1/query", body, given), "HEM_EINVAL")

    def test_methods_paths_and_types(self):
        for method, path, allow in (("GET", "/v1/query", "POST"), ("PUT", "/v1/query", "POST"), ("POST", "/healthz", "GET, HEAD"),
                                    ("DELETE", "/v1/items/a", "GET, HEAD"), ("OPTIONS", "/score", "POST"), ("GET", "/v1/reload", "POST")):
            status, headers, text = self.ask(method, path)
            self.assertEqual((status, headers["Allow"]), (405, allow), path)
            self.assertEqual(json.loads(text)["error"]["status"], 405)
        for path in ("/nowhere", "/v1/query/", "/v1/items/", "/v1", "//", "/v1/images/1/2", "/../etc/passwd", "/%2e%2e/x", "*"):
            self.assertEqual(self.ask("GET", path)[0], 404 if path != "*" else 400, path)
        for kind in ("text/plain", "application/jsonx", "image/gif", ""):
            self.refused(415, self.post("/v1/query", b"x", kind))
        self.refused(415, self.post("/score", b"x", "image/png"))
        self.assertEqual(self.ask("POST", "/v1/query", b"x", {"Content-Encoding": "gzip"})[0], 415)
        self.assertIn(b" 411 ", self.raw(b"POST /v1/query HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 417 ", self.raw(b"POST /score HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1\r\n\r\nx"))
        self.assertIn(b" 400 ", self.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"))

    def test_heads_that_are_too_large(self):
        self.assertIn(b" 431 ", self.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n"))
        self.assertIn(b" 431 ", self.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n"))
        self.assertIn(b" 431 ", self.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200000 + b"\r\n\r\n"))
        self.assertIn(b" 414 ", self.raw(b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"))

    def test_framing_in_doubt(self):
        """What two servers could read in two ways: refused, and nothing behind it is taken for a request."""
        smuggled = b"GET /v1/info HTTP/1.1\r\nHost: a\r\n\r\n"
        start = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        for head in (b"Content-Length: 2\r\nContent-Length: 2\r\n",
                     b"Content-Length: 2\r\nContent-Length: 40\r\n",
                     b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                     b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
                     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                     b"Transfer-Encoding: gzip, chunked\r\n",
                     b"Transfer-Encoding: chunked, chunked\r\n",
                     b"Transfer-Encoding: xchunked\r\n",
                     b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n",
                     b"Transfer-Encoding : chunked\r\nContent-Length: 2\r\n",
                     b"Content-Length : 2\r\n",
                     b" Content-Length: 2\r\n",
                     b"Content-Length: 2\r\n 3\r\n",
                     b"X: a\r\n\tContent-Length: 40\r\nContent-Length: 2\r\n",
                     b"X: a\r\n b\r\nContent-Length: 2\r\n",
                     b"Content-Length: 2\x0040\r\nX: b\r\n",
                     b"Content-Length: 2\x0040\r\n",
                     b"Content-Length: +2\r\n",
                     b"Content-Length: -2\r\n",
                     b"Content-Length: 0x2\r\n",
                     b"Content-Length: 2, 2\r\n",
                     b"Content-Length: 2 \r\nContent-Length: 40\r\n",
                     b"Content-Length:\r\n",
                     b"Content-Length: 99999999999999999999999\r\n",
                     b"Content-Length: 2\rTransfer-Encoding: chunked\r\n",
                     b"X:\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n",
                     b"Host: b\r\nContent-Length: 2\r\n",
                     b"Content\x01-Length: 2\r\n",
                     b"no colon\r\nContent-Length: 2\r\n"):
            got = self.raw(start + head + b"\r\n{}" + smuggled)
            self.assertRegex(got[:14], rb"^HTTP/1.1 4(00|13)", head)
            self.assertNotIn(b"HTTP/1.1 2", got, head)
            self.assertNotIn(b"space_hash", got, head)
        for line in (b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nX: a\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", b"GET /healthz\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"):
            got = self.raw(line + smuggled)
            self.assertNotIn(b"200 OK", got, line)
        old = b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        self.assertIn(b" 400 ", self.raw(old))
        for chunk in (b"x\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n",
                      b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n", b" 2\r\n{}\r\n0\r\n\r\n"):
            got = self.raw(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + smuggled)
            self.assertNotIn(b"space_hash", got, chunk)

    def test_requests_in_a_row(self):
        """Pipelined: each gets its answer, in order."""
        one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        self.assertEqual(self.raw(one * 10 + last).count(b"200 OK"), 11)

    def test_large_bodies_are_refused_early(self):
        """Before the body is sent, and again and again where it comes all the same: the answer arrives."""
        got = self.raw(b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 33554433\r\n\r\n")
        self.assertIn(b" 413 ", got)
        got = self.raw(b"POST /v1/query HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        self.assertIn(b" 413 ", got)
        self.assertNotIn(b"100 Continue", got)
        head = b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 40000000\r\n\r\n"
        for _ in range(5):
            got = self.raw(head, *[b"x" * 65536] * 100)
            self.assertIn(b" 413 ", got)
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        got = self.raw(b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 34)
        self.assertIn(b" 413 ", got)
        self.assertEqual(json.loads(got.split(b"\r\n\r\n", 1)[1])["error"]["status"], 413)

    def test_slow_clients_are_cut_and_slow_nobody_down(self):
        """200 clients of a byte a second: cut when the time for a whole request is over (10 s), which each byte does not
        start anew; a good client beside them is answered as fast as before."""
        begun = time.monotonic()
        slow = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(200)]
        kept = socket.create_connection(("127.0.0.1", self.port))  # slow in its second request
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b"200 OK", kept.recv(65536))
        slow.append(kept)
        text = [b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\n" + b"x" * 100,
                b"GET /" + b"a" * 300, b"GET / HTTP/1.1\r\nX: " + b"y" * 300]
        said = [b""] * len(slow)
        open_ones = set(range(len(slow)))
        sent, ended = [0] * len(slow), {}
        good = []
        while open_ones and time.monotonic() - begun < 25:
            for i in sorted(open_ones):
                try:
                    slow[i].send(text[i % 3][sent[i]:sent[i] + 1])
                    sent[i] += 1
                    more = slow[i].recv(65536, socket.MSG_DONTWAIT)
                    said[i] += more
                    if not more:
                        raise ConnectionResetError
                except BlockingIOError:
                    continue
                except OSError:
                    ended[i] = time.monotonic() - begun
                    open_ones.discard(i)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                asked = time.monotonic()
                self.assertEqual(self.ask("GET", "/healthz")[0], 200)
                good.append(time.monotonic() - asked)
                time.sleep(0.02)
        for s in slow:
            s.close()
        self.assertEqual(open_ones, set())
        self.assertGreater(min(ended.values()), 9)
        self.assertLess(max(ended.values()), 15)
        self.assertGreater(sum(b" 408 " in s for s in said), 190)
        self.assertLess(sorted(good)[len(good) // 2], 0.05)


class Store(Served):
    def test_items_and_their_photos(self):
        status, headers, text = self.ask("GET", "/v1/items/item%203%2F%C3%A4")
        item = json.loads(text)
        self.assertEqual((status, item["item_id"], len(item["photos"])), (200, "item 3/ä", 2))
        self.assertEqual([p["row"] for p in item["photos"]], [6, 7])
        status, headers, text = self.ask("GET", item["photos"][0]["image"])
        self.assertEqual((status, headers["Content-Type"], text), (200, "image/png", self.photo(6)))
        etag = headers["ETag"]
        status, headers, text = self.ask("GET", "/v1/images/6", headers={"If-None-Match": etag})
        self.assertEqual((status, text, headers["ETag"]), (304, b"", etag))
        self.assertEqual(self.ask("GET", "/v1/images/7", headers={"If-None-Match": etag})[0], 200)
        for path in ("/v1/items/nobody", "/v1/items/item%203", "/v1/images/41", "/v1/images/99999999999999", "/v1/images/x",
                     "/v1/images/-1", "/v1/images/6x", "/v1/images/+6"):
            self.assertEqual(self.ask("GET", path)[0], 404, path)  # 41 is a customer's
        for path in ("/v1/items/%zz", "/v1/items/a%00", "/v1/items/%ff", "/v1/items/%e", "/v1/items/%"):
            self.assertEqual(self.ask("GET", path)[0], 400, path)

    def test_a_photo_that_changed_is_not_handed_out(self):
        path = self.at("photos/9.png")
        before = self.photo(9)
        self.assertEqual(self.ask("GET", "/v1/images/9")[0], 200)
        with open(path, "ab") as f:
            f.write(b"more")
        self.assertEqual(self.ask("GET", "/v1/images/9")[0], 404)
        os.remove(path)
        self.assertEqual(self.ask("GET", "/v1/images/9")[0], 404)
        with open(path, "wb") as f:
            f.write(before)
        self.assertEqual(self.ask("GET", "/v1/images/9")[0], 200)

    def test_head(self):
        for path in ("/healthz", "/v1/info", "/", "/v1/images/6", "/nowhere"):
            get, head = self.ask("GET", path), self.ask("HEAD", path)
            self.assertEqual((head[0], head[2]), (get[0], b""), path)
            if path != "/v1/info":
                self.assertEqual(head[1]["Content-Length"], str(len(get[2])), path)

    def test_page(self):
        status, headers, text = self.ask("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"<html", text)
        self.assertEqual(headers["Content-Security-Policy"],
                         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
                         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(headers["Referrer-Policy"], "no-referrer")
        self.assertEqual(self.ask("GET", "/app.js")[0], 200)
        _, port = self.serve("--no-page")
        self.assertEqual(self.ask("GET", "/", port=port)[0], 404)

    def test_metrics(self):
        self.post("/v1/query?k=1", self.floats(1), "application/octet-stream")
        self.post("/v1/query", b"{")
        status, headers, text = self.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        values, kinds = {}, {}
        for line in text.decode().splitlines():
            if line.startswith("# TYPE"):
                kinds[line.split()[2]] = line.split()[3]
            elif not line.startswith("#"):
                name, value = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) (\S+)', line).groups()
                self.assertNotIn(name, values)
                values[name] = float(value)
        self.assertGreaterEqual(values['hemline_questions_total{front="http",status="HEM_OK"}'], 1)
        self.assertGreaterEqual(values['hemline_refused_total{front="http"}'], 1)
        self.assertEqual(values["hemline_gallery_photos"], 40)
        # A connection is taken off a moment after its client closed it.
        own = 'hemline_connections{front="http"} 1\n'
        self.assertTrue(support.wait_for(lambda: own in self.ask("GET", "/metrics")[2].decode()))
        self.assertEqual(kinds["hemline_stage_seconds"], "histogram")
        buckets = [(float(re.search('le="([^"]*)"', n)[1]), v) for n, v in values.items()
                   if n.startswith('hemline_stage_seconds_bucket{stage="search"')]
        self.assertEqual(sorted(buckets), buckets)
        self.assertEqual([v for _, v in buckets], sorted(v for _, v in buckets))
        self.assertEqual(buckets[-1], (float("inf"), values['hemline_stage_seconds_count{stage="search"}']))

    def test_reload(self):
        server, port = self.serve()
        generation = lambda: json.loads(self.ask("GET", "/v1/info", port=port)[2])["generation"]
        before = generation()
        status, _, text = self.ask("POST", "/v1/reload", port=port)
        self.assertEqual((status, json.loads(text)), (200, {"generation": before}))
        self.hemline("index", self.at("catalog.h5"), "-o", self.at("store"))
        status, _, text = self.ask("POST", "/v1/reload", port=port)
        after = json.loads(text)["generation"]
        self.assertGreater(after, before)
        self.assertEqual(generation(), after)
        self.assertIsNone(server.poll())

    @unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
    def test_openapi_says_what_is_answered(self):
        spec = json.loads(self.ask("GET", "/openapi.json")[2])
        self.assertEqual(spec["openapi"], "3.0.3")

        def plain(node):
            """JSON Schema knows no "nullable"."""
            if isinstance(node, list):
                return [plain(n) for n in node]
            if not isinstance(node, dict):
                return node
            node = {k: plain(v) for k, v in node.items()}
            if node.pop("nullable", False):
                node["type"] = [node["type"], "null"]
            return node
        spec = plain(spec)
        for ref in re.findall(r'"\$ref": "([^"]*)"', json.dumps(spec)):
            jsonschema.RefResolver("", spec).resolve(ref)
        for schema in spec["components"]["schemas"].values():
            jsonschema.Draft4Validator.check_schema(schema)

        def check(path, method, answer):
            schema = spec["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.Draft4Validator({**schema, "components": spec["components"]}).validate(answer)
        check("/v1/query", "post", self.post("/v1/query", {"item_id": "item 3/ä"})[1])
        check("/v1/query/batch", "post", self.post("/v1/query/batch", {"queries": [{"item_id": "item 3/ä"}, {"item_id": "?"}]})[1])
        check("/score", "post", self.post("/score", {"data": [self.vector(1)]})[1])
        check("/v1/info", "get", json.loads(self.ask("GET", "/v1/info")[2]))
        check("/v1/items/{id}", "get", json.loads(self.ask("GET", "/v1/items/item%203%2F%C3%A4")[2]))
        with self.assertRaises(jsonschema.ValidationError):
            check("/v1/query", "post", {"hits": []})
        # Every path is there, with these methods and no other.
        for path, methods in spec["paths"].items():
            at = path.replace("{id}", "item%203%2F%C3%A4").replace("{row}", "6")
            for method in ("get", "post"):
                status = self.ask(method.upper(), at)[0]
                self.assertEqual(status == 405, method not in methods, (path, method, status))
            for status in {s for m in methods.values() for s in m["responses"]} - {"default"}:
                self.assertRegex(status, "^[1-5][0-9][0-9]$")
            named = re.findall(r"\{(\w+)\}", path)
            given = [p["name"] for m in methods.values() for p in m.get("parameters", []) if p.get("in") == "path"]
            self.assertEqual(named, given)
        # Options are those that are taken.
        said = {p["name"] for p in spec["components"]["parameters"].values()}
        self.assertEqual(said, set(spec["components"]["schemas"]["Options"]["properties"]))


class Token(Served):
    options = ("--token-file", "{token}")

    def test_only_with_the_token(self):
        for path in ("/healthz", "/readyz", "/"):
            self.assertEqual(self.ask("GET", path)[0], 200, path)
        for path in ("/v1/info", "/metrics", "/v1/items/a", "/v1/images/1", "/openapi.json", "/nowhere"):
            status, headers, text = self.ask("GET", path)
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), path)
            self.assertEqual(json.loads(text)["error"]["status"], 401)
        for wrong in ("", "Bearer", "Bearer ", "Bearer x", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN):
            self.assertEqual(self.ask("GET", "/v1/info", headers={"Authorization": wrong})[0], 401, wrong)
        self.assertEqual(self.ask("GET", "/v1/info", headers={"Authorization": f"bearer {TOKEN}"})[0], 200)
        self.assertEqual(self.post("/v1/query", self.floats(1), "application/octet-stream")[0], 200)

    def test_a_body_is_not_even_read_without_it(self):
        got = self.raw(b"POST /v1/query HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        self.assertIn(b" 401 ", got)
        self.assertNotIn(b"100 Continue", got)

    def test_token_files_that_make_no_sense(self):
        for content in (b"", b"\n", b"two words", b"\xff\xfe", b"x" * 5000):
            with open(self.at("bad"), "wb") as f:
                f.write(content)
            done = self.run_hemline("serve", self.at("store"), "--http", "0", "--token-file", self.at("bad"))
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"token", done.stderr)


class Addresses(Served):
    def test_addresses(self):
        for wrong in ("a:b", "1.2.3.4:99999", "::1:80", "", "nowhere.invalid:1", "8080x"):
            self.assertEqual(self.run_hemline("serve", self.at("store"), "--http", wrong).returncode, 1, wrong)
        done = self.run_hemline("serve", self.at("store"), "--http", str(self.port))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"listens", done.stderr)

    def test_stops_only_when_all_is_answered(self):
        server, port = self.serve()
        answers = []

        def client():
            answers.append(self.ask("POST", "/v1/query?k=3", self.photo(3), {"Content-Type": "image/png"}, port=port)[0])
        idle = socket.create_connection(("127.0.0.1", port))
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b"200", idle.recv(65536))
        half = http.client.HTTPConnection("127.0.0.1", port, timeout=30)  # its body comes only afterwards
        half.putrequest("POST", "/v1/query?k=1")
        half.putheader("Content-Type", "application/octet-stream")
        half.putheader("Content-Length", str(4 * self.dim))
        half.endheaders()
        threads = [threading.Thread(target=client) for _ in range(6)]
        for t in threads:
            t.start()
        time.sleep(0.05)
        server.terminate()
        time.sleep(0.3)
        half.send(self.floats(1))
        answer = half.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        self.assertEqual(len(json.loads(answer.read())["hits"]), 1)
        for t in threads:
            t.join()
        self.assertEqual(answers, [200] * 6)
        self.assertEqual(idle.recv(100), b"")
        idle.close()
        self.assertEqual(server.wait(timeout=20), 0)


@unittest.skipUnless(shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "nginx is not installed")
@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class BehindNginx(Served):
    """TLS, by nginx in front: the configuration of docs/serving.md."""

    def test_tls(self):
        import ssl
        run = lambda *a: subprocess.run(a, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", self.at("key.pem"), "-out", self.at("cert.pem"))
        with open(os.path.join(support.SOURCE, "docs", "serving.md"), encoding="utf-8") as f:
            documented = re.search(r"```nginx\n(.*?)```", f.read(), re.S)[1]
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        site = documented.replace("443", str(port)).replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        site = site.replace("/etc/ssl/shop.pem", self.at("cert.pem")).replace("/etc/ssl/shop.key", self.at("key.pem"))
        site = site.replace("shop.example", "localhost")
        with open(self.at("nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"daemon off; pid {self.at('nginx.pid')}; error_log {self.at('error.log')}; worker_processes 1;\n"
                    "events {}\nhttp {\n access_log off;\n" +
                    "".join(f" {k}_temp_path {self.at(k)};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
                    site + "}\n")
        nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", self.at("nginx.conf"), "-p", self.folder],
                                 stderr=subprocess.DEVNULL)
        try:
            context = ssl.create_default_context(cafile=self.at("cert.pem"))
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            c = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
            c.request("POST", "/v1/query?k=2", self.photo(6), {"Content-Type": "image/png"})
            answer = c.getresponse()
            self.assertEqual(answer.status, 200)
            self.assertEqual(json.loads(answer.read())["hits"][0]["item_id"], "item 3/ä")
            for i in range(20):  # connections to hemline are kept
                c.request("POST", "/v1/query?k=2", self.floats(i), {"Content-Type": "application/octet-stream"})
                answer = c.getresponse()
                self.assertEqual((answer.status, len(json.loads(answer.read())["hits"])), (200, 2))
            c.request("GET", "/v1/items/item%203%2F%C3%A4")
            self.assertEqual(json.loads(c.getresponse().read())["item_id"], "item 3/ä")
            c.close()
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)


del Served  # it is no test itself
if __name__ == "__main__":
    support.main()
