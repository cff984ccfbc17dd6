"""The Unix socket as another language sees it: protocol.py knows nothing but docs/protocol.md."""
import os
import random
import struct
import subprocess

import protocol
import support


class Protocol(support.Case):
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
        cls.server = cls.serve()

    @classmethod
    def serve(cls):
        server = subprocess.Popen([support.HEMLINE, "serve", cls.at("store"), "--unix", cls.at("s.sock")],
                                  stderr=subprocess.PIPE)
        cls.addClassCleanup(cls.stop, server)
        for line in server.stderr:
            if b"listening" in line:
                return server
        raise AssertionError("the server did not start")

    @classmethod
    def stop(cls, server):
        if server.poll() is None:
            server.terminate()
        code = server.wait(timeout=60)
        said = server.stderr.read().decode() if not server.stderr.closed else ""
        server.stderr.close()
        assert code == 0, f"the server ended with {code}: {said}"

    def setUp(self):
        self.client = protocol.Client(self.at("s.sock"))
        self.addCleanup(self.client.close)
        self.dim = self.client.info()["dim"]

    def vector(self, seed):
        noise = random.Random(seed)
        return list(struct.unpack(f"<{self.dim}f", struct.pack(f"<{self.dim}f", *(noise.random() for _ in range(self.dim)))))

    def command(self, *options, vector=None):
        """The same question to the command line."""
        data = struct.pack(f"<{self.dim}f", *vector) if vector else None
        asked = ["--vector", "-"] if vector else []
        answer, = support.json.loads(self.hemline("query", self.at("store"), *asked, "--json", *options, stdin=data)[0])
        return answer

    def check(self, answer, wanted):
        self.assertEqual([(h["item_id"], h["category"], h["row"]) for h in answer["hits"]],
                         [(h["item_id"], h["category"], h["row"]) for h in wanted["hits"]])
        for hit, other in zip(answer["hits"], wanted["hits"]):
            self.assertAlmostEqual(hit["distance"], other["distance"], places=5)
        self.assertEqual((answer["found"], answer["wanted"]), (wanted["found"], wanted["wanted"]))

    def test_info(self):
        info = self.client.info()
        self.assertEqual((info["photos"], info["items"], info["space"], info["metric"]), (40, 20, "color", False))
        self.assertEqual({name: photos for name, (_, photos) in info["categories"].items()}, {"dress": 20, "skirt": 20})
        self.assertEqual(info["request_bytes_max"], 64 << 20)
        self.assertEqual(self.client.ping(), "000001")

    def test_vectors(self):
        vectors = [self.vector(i) for i in range(5)]
        answers = self.client.search(vectors=vectors, k=7).answers
        self.assertEqual(len(answers), 5)
        for vector, answer in zip(vectors, answers):
            self.check(answer, self.command("-k", 7, vector=vector))
        answer, = self.client.search(vectors=vectors[:1], k=3, categories=["skirt"], labels=["l1", "l2"], exact=True,
                                     photos=True).answers
        self.assertEqual({h["category"] for h in answer["hits"]}, {"skirt"})
        self.assertEqual({h["label"] for h in answer["hits"]} - {"l1", "l2"}, set())
        first = answer["hits"][0]["row"]
        answer, = self.client.search(vectors=vectors[:1], k=3, categories=["skirt"], labels=["l1", "l2"], exact=True,
                                     photos=True, leave_out_row=first).answers
        self.assertNotIn(first, [h["row"] for h in answer["hits"]])

    def test_a_photo(self):
        path = self.at("photos/41.png")
        with open(path, "rb") as f:
            photo = f.read()
        reply = self.client.search(photo=photo, k=5)
        self.check(reply.answers[0], self.command(path, "-k", 5))
        self.assertEqual(reply.generation, "000001")
        self.assertTrue(all(reply.ns[1:]), reply.ns)
        # A photo of 40 x 30: the same part of it, said in two ways.
        pixels = self.client.search(photo=photo, k=5, box=(4, 3, 20, 15)).answers[0]
        parts = self.client.search(photo=photo, k=5, box=(0.1, 0.1, 0.5, 0.5), parts=True).answers[0]
        self.assertEqual(pixels, parts | {"hits": pixels["hits"]})
        self.assertEqual([h["distance"] for h in pixels["hits"]], [h["distance"] for h in parts["hits"]])
        self.assertNotEqual([h["distance"] for h in pixels["hits"]], [h["distance"] for h in reply.answers[0]["hits"]])
        with self.assertRaises(protocol.Refused) as refused:
            self.client.search(photo=photo[:100])
        self.assertEqual(refused.exception.status, 5)

    def test_an_item(self):
        answer, = self.client.search(item="item 3/ä", k=4).answers
        self.assertEqual(answer["found"], 4)
        self.assertNotIn("item 3/ä", [h["item_id"] for h in answer["hits"]])
        with self.assertRaisesRegex(protocol.Refused, "item 999"):
            self.client.search(item="item 999")

    def test_what_is_wrong_is_said(self):
        for options, status, words in (({"categories": ["hats"]}, 4, "hats"), ({"k": 1 << 30}, 1, "100000"),
                                       ({"rerank": 5}, 1, "no metric")):
            with self.assertRaisesRegex(protocol.Refused, words) as refused:
                self.client.search(vectors=[self.vector(0)], **options)
            self.assertEqual(refused.exception.status, status)
        with self.assertRaises(protocol.Refused) as refused:
            self.client.search(vectors=[[1.0, 2.0]])
        self.assertEqual(refused.exception.status, 9)
        with self.assertRaises(protocol.Refused):
            self.client.ask(77)
        self.assertEqual(self.client.search(vectors=[self.vector(0)]).answers[0]["found"], 20)

    def test_many_on_their_way(self):
        with open(self.at("photos/42.png"), "rb") as f:
            photo = f.read()
        asked = {}
        for i in range(60):
            options = {"photo": photo} if i % 5 == 0 else {"vectors": [self.vector(i)]}
            asked[self.client.send(1, protocol.search_body(k=3, **options))] = i
        order = []
        for _ in range(60):
            reply = self.client.receive()
            order.append(asked.pop(reply.number))
            self.assertEqual(reply.answers[0]["found"], 3)
        vectors = [i for i in order if i % 5]
        self.assertEqual(vectors, sorted(vectors))

    def test_last_words(self):
        for data, status in ((b"GET / HTTP/1.1\r\n\r\n", 5), (b"HM\x02\x01" + bytes(12), 6),
                             (protocol.HEADER.pack(b"HM", 1, 1, 0xFFFFFFF8, 9), 1)):
            client = protocol.Client(self.at("s.sock"))
            client.socket.sendall(data)
            with self.assertRaises(protocol.Refused) as refused:
                client.receive()
            self.assertEqual(refused.exception.status, status)
            with self.assertRaises((EOFError, ConnectionResetError)):
                client.receive()
            client.close()

    def test_the_end(self):
        asked = {self.client.send(1, protocol.search_body(vectors=[self.vector(i)], k=3)) for i in range(20)}
        self.server.terminate()
        answered = {self.client.receive().number for _ in range(20)}
        self.assertEqual(asked, answered)
        with self.assertRaises(EOFError):
            self.client.receive()
        self.stop(self.server)
        self.assertFalse(os.path.exists(self.at("s.sock")))
        type(self).server = self.serve()


if __name__ == "__main__":
    support.main()
