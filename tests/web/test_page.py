"""The search page in a browser, in front of a real server: what it asks, what it shows, and whether one can use it."""
import io
import json
import os
import random
import socket
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "end_to_end"))
import support  # noqa: E402

try:
    import browser
    import shop
    from PIL import Image
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    MISSING = None if browser.CHROMIUM and browser.DRIVER else "no chromium and chromedriver here (chromium-driver)"
except ImportError as failed:
    MISSING = f"{failed} (python3-selenium, python3-pil)"

STATES = "return [...document.querySelectorAll('#first,#failure,#results')].filter(e => !e.hidden).map(e => e.id).join()"


def start_server(store, catalog):
    """`hemline serve`, and its port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([support.HEMLINE, "serve", store, "--catalog", catalog, "--http", f"127.0.0.1:{port}"],
                              stderr=subprocess.PIPE)

    def answers():
        if server.poll() is not None:
            raise AssertionError(server.stderr.read().decode())
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
        except OSError:
            return False
    browser.wait(answers, "the server answers", 20)
    return server, port


@unittest.skipIf(MISSING, f"skipped: {MISSING}")
class Page(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_shop()
        cls.server, cls.port = start_server(cls.at("store"), cls.at("shop.h5"))
        cls.addClassCleanup(cls.server.stderr.close)
        cls.addClassCleanup(cls.server.wait, 30)
        cls.addClassCleanup(cls.server.terminate)
        cls.between = browser.Between(cls.port)
        cls.addClassCleanup(cls.between.server.server_close)
        cls.addClassCleanup(cls.between.server.shutdown)
        cls.driver = browser.start()
        cls.addClassCleanup(cls.driver.quit)
        cls.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": """
            window.shifts = 0;
            new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shifts += e.value; })
              .observe({ type: "layout-shift", buffered: true });"""})

    @classmethod
    def make_shop(cls):
        manifest = shop.write(cls.folder)
        cls.hemline("ingest", cls.at("shop.h5"), "--manifest", manifest, "--features", "hog,color", "-q")
        cls.hemline("train", cls.at("shop.h5"), "-o", cls.at("metric"), "--tower", 0, "--hidden", 8, "--epochs", 2, "-q")
        cls.hemline("index", cls.at("shop.h5"), "--metric", cls.at("metric"), "--force", "-o", cls.at("store"), "-q")

    def setUp(self):
        self.between.alter = None
        self.screen(1280, 800)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.open()

    def tearDown(self):
        self.assertEqual(self.complaints(), [])
        for request in self.sent_by_browser():
            self.assertTrue(request.startswith((self.between.address, "blob:", "data:")), request)

    # ---- what tests say ----

    def screen(self, width, height, touch=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch})
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})

    def open(self, fragment="", wait=True):
        self.driver.get("about:blank")
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(self.between.address + fragment)
        self.js("sessionStorage.clear()")
        self.between.requests.clear()
        if wait:
            self.until("document.getElementById('shop').textContent.length > 3", "the shop is known")

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, expression, what):
        return browser.wait(lambda: self.js(f"return {expression}"), what)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).textContent.trim()", selector)

    def state(self):
        return self.js(STATES)

    def complaints(self):
        """What the browser said against the page, but for refused requests, which tests cause."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["source"] != "network" and entry["level"] == "SEVERE" or "Content Security Policy" in entry["message"]]

    def sent_by_browser(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"
                and m["params"]["documentURL"].startswith(self.between.address)]

    def photo(self, item=3):
        return os.path.join(self.folder, "consumer", f"{item}.jpg")

    def choose(self, path):
        self.one("#choose").send_keys(path)
        self.until("!document.getElementById('photo').hidden", "the photo is shown")

    def search(self):
        """Presses the button; returns the question as the server got it."""
        before = len(self.between.asked())
        self.one("#search").click()
        return self.settled(before)

    def settled(self, before):
        browser.wait(lambda: len(self.between.asked()) > before, "a question is sent")
        self.until("!document.getElementById('answer').hasAttribute('aria-busy')", "the answer is there")
        return self.between.asked()[-1]

    def tiles(self, pane="metric"):
        return self.js("return [...document.querySelectorAll(`#pane-${arguments[0]} .tile`)].map(t => t.dataset.item)", pane)

    def ask_directly(self, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/query", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    # ---- first screen, photo, answer ----

    def test_the_first_screen_says_what_to_do(self):
        self.assertEqual(self.state(), "first")
        self.assertEqual(self.text("#shop"), f"{shop.ITEMS} pieces, {shop.ITEMS} photos")
        self.assertIn("Draw a box", self.text("#first"))
        self.assertFalse(self.one("#search").is_enabled())
        self.assertEqual([chip.text.split("\n")[0] for chip in self.driver.find_elements(By.CSS_SELECTOR, ".chip")],
                         [c.capitalize() for c in shop.CATEGORIES])
        self.until("document.querySelectorAll('#examples img').length === 6 && "
                   "[...document.querySelectorAll('#examples img')].every(i => i.naturalWidth > 0)", "six examples are shown")

    def test_a_photo_is_sent_whole_and_answered_in_order(self):
        self.choose(self.photo())
        self.assertEqual(self.between.asked(), [], "nothing is sent before 'Search'")
        self.between.alter = self.keep_answer
        asked = self.search()
        with open(self.photo(), "rb") as f:
            self.assertEqual(asked.pop("photo"), f.read())
        self.assertEqual(asked, {"k": ["20"], "also_plain": ["true"]})
        self.assertEqual(self.state(), "results")
        hits = self.answer["hits"]
        self.assertEqual(len(hits), 20)
        self.assertEqual(self.tiles(), [hit["item_id"] for hit in hits])
        self.assertEqual(self.tiles()[0], shop.name(3))
        first = self.text("#pane-metric .tile")
        self.assertIn(f"{100 * hits[0]['probability']:.0f}%", first)
        self.assertIn("Shirt", first)
        width = self.js("return document.querySelector('.fill').style.width")
        self.assertAlmostEqual(float(width.rstrip("%")), 100 * hits[0]["probability"], places=2)
        self.assertIn(shop.name(3), self.text("#live"))
        self.until("[...document.querySelectorAll('#pane-metric .frame img')].slice(0, 5).every(i => i.naturalWidth > 0)",
                   "pictures are shown")

    def keep_answer(self, _method, path, _headers):
        def keep(status, body):
            self.answer = json.loads(body)
            return status, body
        return keep if path == "/v1/query" else None

    def test_stages_and_certificate_are_told(self):
        self.choose(self.photo())
        self.between.alter = self.keep_answer
        self.search()
        stages = self.text("#stages")
        for name in ("Wait", "Decode", "Embed", "Search", "Network"):
            self.assertIn(name, stages)
        parts = self.js("return [...document.querySelectorAll('#timing span')].map(s => [s.className, Number(s.style.flexGrow)])")
        search = dict(parts)["stage-search"]
        self.assertAlmostEqual(search, self.answer["timing"]["search_ms"], places=3)
        certificate = self.answer["metric"]["certificate"]
        self.assertTrue(self.text("#certificate").startswith("Certified:"))
        self.assertIn(f"{certificate['queries']} sampled", self.text("#certificate"))
        self.assertIn("certified ranking", self.text("#summary"))
        self.one("#exact").click()
        self.assertEqual(self.settled(1)["exact"], ["true"])
        self.assertTrue(self.text("#certificate").startswith("Exact:"))

    def test_changes_are_asked_without_pressing_again(self):
        self.choose(self.photo())
        self.search()
        self.driver.find_elements(By.CSS_SELECTOR, ".chip")[1].click()
        asked = self.settled(1)
        self.assertEqual(asked["categories"], ["shirt"])
        self.js("const k = document.getElementById('k'); k.value = '5'; k.dispatchEvent(new Event('change', {bubbles: true}))")
        asked = self.settled(2)
        self.assertEqual((asked["k"], asked["categories"]), (["5"], ["shirt"]))
        self.assertEqual(len(self.tiles()), 5)

    def test_dropped_and_pasted_photos_are_taken(self):
        for event, carrier in (("DragEvent", "dataTransfer"), ("ClipboardEvent", "clipboardData")):
            self.open()
            self.js("""const [kind, carrier] = arguments, canvas = document.createElement('canvas');
                canvas.width = canvas.height = 40;
                canvas.toBlob(blob => {
                  const files = new DataTransfer();
                  files.items.add(new File([blob], 'x.png', { type: 'image/png' }));
                  document.body.dispatchEvent(new window[kind](kind === 'DragEvent' ? 'drop' : 'paste',
                    { bubbles: true, cancelable: true, [carrier]: files }));
                });""", event, carrier)
            self.until("!document.getElementById('photo').hidden", f"the photo of a {event} is shown")
            self.assertTrue(self.search()["photo"].startswith(b"\x89PNG"))

    def test_a_needlessly_large_photo_is_made_smaller(self):
        big = self.at("big.png")
        Image.frombytes("RGB", (2600, 700), random.Random(1).randbytes(2600 * 700 * 3)).save(big, compress_level=0)
        self.choose(big)
        sent = self.search()["photo"]
        self.assertLess(len(sent), os.path.getsize(big))
        with Image.open(io.BytesIO(sent)) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (2048, 551)))

    # ---- the box ----

    def box(self, asked):
        return [float(v) for v in asked["box"][0].split(",")]

    def test_keys_move_and_resize_the_box(self):
        self.choose(self.photo())
        crop = self.one("#crop")
        for key, times, shift in ((Keys.ARROW_LEFT, 25, True), (Keys.ARROW_UP, 20, True), (Keys.ARROW_RIGHT, 5, False),
                                  (Keys.ARROW_DOWN, 10, False)):
            chain = ActionChains(self.driver).move_to_element(crop)
            self.js("arguments[0].focus()", crop)
            chain = ActionChains(self.driver)
            if shift:
                chain.key_down(Keys.SHIFT)
            for _ in range(times):
                chain.send_keys(key)
            if shift:
                chain.key_up(Keys.SHIFT)
            chain.perform()
        self.assertEqual(self.box(self.search()), [0.1, 0.2, 0.5, 0.6])
        self.assertIn("50% × 60%", self.text("#crop-says"))
        crop.send_keys(Keys.HOME)
        self.assertNotIn("box", self.settled(1))

    def test_the_mouse_draws_moves_and_resizes_the_box(self):
        self.choose(self.photo())
        stage = self.one("#stage")
        width, height = stage.size["width"], stage.size["height"]

        def drag(x0, y0, x1, y1):
            chain = ActionChains(self.driver, duration=20).move_to_element_with_offset(stage, int((x0 - 0.5) * width), int((y0 - 0.5) * height))
            chain.click_and_hold().move_by_offset(int((x1 - x0) * width) // 2, int((y1 - y0) * height) // 2)
            chain.move_to_element_with_offset(stage, int((x1 - 0.5) * width), int((y1 - 0.5) * height)).release().perform()

        def near(box, wanted):
            for value, want in zip(box, wanted, strict=True):
                self.assertAlmostEqual(value, want, delta=0.015)
        drag(0.2, 0.3, 0.6, 0.8)
        near(self.box(self.search()), [0.2, 0.3, 0.4, 0.5])
        drag(0.4, 0.5, 0.5, 0.6)
        near(self.box(self.settled(1)), [0.3, 0.4, 0.4, 0.5])
        drag(0.7, 0.9, 0.9, 0.95)
        near(self.box(self.settled(2)), [0.3, 0.4, 0.6, 0.55])
        self.one("#whole").click()
        self.assertNotIn("box", self.settled(3))

    def test_a_finger_drags_a_corner(self):
        self.screen(390, 800, touch=True)
        self.open()
        self.assertTrue(self.one(".camera").is_displayed())
        self.assertEqual(self.one("#take").get_attribute("capture"), "environment")
        self.choose(self.photo())
        x, y, width, height = self.js("const r = document.getElementById('stage').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]")
        for kind, at in (("touchStart", 0.99), ("touchMove", 0.8), ("touchMove", 0.5), ("touchEnd", None)):
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if at is None else [{"x": x + at * width, "y": y + at * height}]})
        box = self.box(self.search())
        self.assertEqual(box[:2], [0, 0])
        for side in box[2:]:
            self.assertAlmostEqual(side, 0.5, delta=0.03)

    # ---- rankings, verdicts, reasons ----

    def test_both_rankings_and_what_moved(self):
        def reverse(answer):  # by distance, the other way round, and one item that the metric does not show
            answer["plain_hits"].reverse()
            for rank, hit in enumerate(answer["plain_hits"], 1):
                hit["rank"] = rank
            answer["plain_hits"][0]["item_id"] = "stranger"
            self.answer = answer
        self.between.alter = lambda _m, path, _h: browser.edited(reverse) if path == "/v1/query" else None
        self.choose(self.photo())
        self.search()
        self.assertFalse(self.one("#pane-plain").is_displayed())
        self.js("document.querySelector('input[value=plain]').click()")
        self.assertFalse(self.one("#pane-metric").is_displayed())
        plain = [hit["item_id"] for hit in self.answer["plain_hits"]]
        self.assertEqual(self.tiles("plain"), plain)
        self.js("document.querySelector('input[value=both]').click()")
        self.assertTrue(self.one("#pane-metric").is_displayed() and self.one("#pane-plain").is_displayed())
        metric = [hit["item_id"] for hit in self.answer["hits"]]
        marks = self.js("return [...document.querySelectorAll('#pane-metric .mark > :first-child')].map(m => m.textContent)")
        for rank, (item, mark) in enumerate(zip(metric, marks, strict=True), 1):
            moved = plain.index(item) + 1 - rank if item in plain else None
            wanted = "new" if moved is None else "=" if moved == 0 else f"▲ {moved}" if moved > 0 else f"▼ {-moved}"
            self.assertEqual(mark, wanted, item)
        marks = self.js("return [...document.querySelectorAll('#pane-plain .mark > :first-child')].map(m => m.textContent)")
        self.assertEqual(marks, [f"→ {metric.index(item) + 1}" if item in metric else "out" for item in plain])
        self.assertIn("out", marks)

    def test_no_match_is_said_plainly(self):
        def none(answer):
            answer["metric"].update(no_match=True, threshold=0.97, false_accept=0.05)
        self.between.alter = lambda _m, path, _h: browser.edited(none) if path == "/v1/query" else None
        self.choose(self.photo())
        self.search()
        verdict = self.one("#verdict")
        self.assertTrue(verdict.is_displayed())
        self.assertIn("No match", verdict.text)
        self.assertIn("97%", verdict.text)
        self.assertEqual(self.text("#pane-metric-name"), "Nearest anyway")
        self.assertLess(float(self.js("return getComputedStyle(document.querySelector('.tile img')).opacity")), 0.8)
        self.assertTrue(self.text("#live").startswith("No match"))
        self.between.alter = None
        self.search()
        self.assertFalse(verdict.is_displayed())

    def test_an_empty_answer_says_so(self):
        def empty(answer):
            answer.update(hits=[], plain_hits=[], found=0, shortfall="the categories searched hold fewer")
        self.between.alter = lambda _m, path, _h: browser.edited(empty) if path == "/v1/query" else None
        self.choose(self.photo())
        self.search()
        self.assertIn("Nothing found", self.one("#verdict").text)
        self.assertFalse(self.one("#panes").is_displayed() or self.one("#views").is_displayed())

    def test_why_is_asked_when_somebody_wants_to_know(self):
        self.choose(self.photo())
        self.search()
        self.assertNotIn("explain", self.between.asked()[0])
        self.js("document.querySelectorAll('.why')[1].click()")
        self.until("document.querySelectorAll('.effects li').length === 2", "two features are explained")
        self.assertEqual(self.between.asked()[1]["explain"], ["true"])
        self.assertIn(self.tiles()[1], self.text("#why-heading"))
        self.assertIn("Colour", self.text(".effects"))
        ActionChains(self.driver).send_keys(Keys.ESCAPE).perform()
        self.assertFalse(self.js("return document.getElementById('why').open"))
        self.js("document.querySelectorAll('.why')[2].click()")
        self.until("document.querySelectorAll('.effects li').length === 2", "what was explained is kept")
        self.assertEqual(len(self.between.asked()), 2)
        self.one(".close").click()
        self.assertFalse(self.js("return document.getElementById('why').open"))

    def test_more_like_a_hit_and_back(self):
        self.choose(self.photo())
        self.search()
        photos = self.tiles()
        item = photos[2]
        self.js("document.querySelectorAll('#pane-metric .picture')[2].click()")
        asked = self.settled(1)
        self.assertEqual(asked, {"item_id": item, "k": 20, "also_plain": True})
        self.assertEqual(self.text("#heading"), f"More like {item}")
        self.assertEqual(self.tiles(), [hit["item_id"] for hit in self.ask_directly({"item_id": item, "k": 20})["hits"]])
        self.assertNotIn(item, self.tiles())
        self.assertEqual(self.js("return document.activeElement.id"), "heading")
        self.one("#back").click()
        self.until("document.getElementById('heading').textContent === 'Found for your photo'", "the photo's answer is back")
        self.assertEqual(self.tiles(), photos)
        self.assertEqual(len(self.between.asked()), 2, "it was not asked again")
        self.open(f"#item={item}")
        self.assertEqual(self.text("#like-id"), item)
        self.until("document.querySelectorAll('#pane-metric .tile:not(.skeleton)').length === 20", "an address alone is enough")

    # ---- what goes wrong ----

    def failure(self):
        self.until("!document.getElementById('failure').hidden", "a failure is told")
        return self.text("#failure-title"), self.text("#failure")

    def test_a_server_that_is_gone_and_comes_back(self):
        self.choose(self.photo())
        self.between.alter = lambda _m, path, _h: "drop" if path == "/v1/query" else None
        self.one("#search").click()
        self.assertEqual(self.failure()[0], "The server does not answer")
        self.between.alter = None
        self.one("#retry").click()
        self.until("document.querySelectorAll('#pane-metric .tile:not(.skeleton)').length === 20", "trying again helps")
        self.assertEqual(self.state(), "results")

    def test_a_server_that_is_gone_from_the_start(self):
        self.between.alter = lambda _m, path, _h: "drop" if path == "/v1/info" else None
        self.open(wait=False)
        self.assertEqual(self.failure()[0], "The server does not answer")
        self.between.alter = None
        self.one("#retry").click()
        self.until("!document.getElementById('first').hidden && document.getElementById('shop').textContent.length > 3", "trying again helps")

    def test_a_damaged_photo_is_called_one(self):
        damaged = self.at("damaged.jpg")
        with open(self.photo(), "rb") as whole, open(damaged, "wb") as part:
            part.write(whole.read()[:-400])
        self.choose(damaged)
        self.one("#search").click()
        title, said = self.failure()
        self.assertEqual(title, "This photo cannot be read")
        self.assertIn("damaged", said)
        self.assertFalse(self.one("#retry").is_displayed())

    def test_a_file_that_is_no_photo_is_not_sent(self):
        words = self.at("words.jpg")
        with open(words, "w", encoding="utf-8") as f:
            f.write("not a photo")
        self.one("#choose").send_keys(words)
        self.assertIn("not a photo", self.failure()[0])
        self.assertEqual(self.between.asked(), [])

    def test_busy_and_unknown_are_told_apart(self):
        self.between.alter = lambda _m, path, _h: browser.error(503, "too many wait") if path == "/v1/query" else None
        self.choose(self.photo())
        self.one("#search").click()
        self.assertEqual(self.failure()[0], "The shop is busy")
        self.between.alter = None
        self.one("#item").send_keys("nobody", Keys.ENTER)
        self.until("document.getElementById('failure-title').textContent === 'That is not in the shop'", "an unknown item is told")

    def test_a_token_is_asked_for_and_kept_for_the_tab(self):
        def guarded(_method, path, headers):
            return browser.error(401, "wanted: a token") if path.startswith("/v1/") and headers["Authorization"] != "Bearer sesame" else None
        self.between.alter = guarded
        self.open(wait=False)
        self.until("document.getElementById('ask-token').open", "the token is asked for")
        self.one("#token").send_keys("sesame", Keys.ENTER)
        self.until("document.getElementById('shop').textContent.length > 3", "the shop is known")
        self.until("document.querySelectorAll('#examples img').length === 6", "pictures come with the token")
        self.driver.refresh()
        self.until("document.getElementById('shop').textContent.length > 3", "the token was kept")
        self.assertFalse(self.js("return document.getElementById('ask-token').open"))
        self.assertEqual(self.js("return localStorage.length + document.cookie.length"), 0)

    def test_without_pictures_there_are_placeholders(self):
        self.between.alter = lambda _m, path, _h: browser.error(404, "gone") if path.startswith("/v1/images/") else None
        self.open()
        self.until("document.getElementById('examples-set').hidden", "no examples are offered")
        self.choose(self.photo())
        self.search()
        self.until("document.querySelectorAll('#pane-metric .frame.none').length >= 5", "placeholders stand for pictures")
        self.assertEqual(len(self.tiles()), 20)

    # ---- how it looks and feels ----

    def test_waiting_is_shown_and_nothing_jumps(self):
        import threading
        go = threading.Event()

        def held(_method, path, _headers):
            if path == "/v1/query":
                go.wait(10)
        self.between.alter = held
        self.choose(self.photo())
        self.one("#search").click()
        self.until("document.querySelectorAll('.tile.skeleton').length === 20", "skeletons are shown")
        self.assertEqual(self.one("#answer").get_attribute("aria-busy"), "true")
        top = self.js("return document.querySelector('.grid').getBoundingClientRect().top")
        tall = self.js("return document.querySelector('.tile').getBoundingClientRect().height")
        go.set()
        self.until("document.querySelectorAll('#pane-metric .tile:not(.skeleton)').length === 20", "the answer takes their place")
        self.assertAlmostEqual(self.js("return document.querySelector('.grid').getBoundingClientRect().top"), top, delta=1)
        self.assertAlmostEqual(self.js("return document.querySelector('.tile').getBoundingClientRect().height"), tall, delta=1)
        self.assertLess(self.js("return window.shifts"), 0.02)

    def test_a_phone_never_scrolls_sideways(self):
        self.screen(360, 740, touch=True)
        self.open()

        def fits(where):
            self.assertLessEqual(self.js("return document.documentElement.scrollWidth"), 360, where)
            wide = self.js("return [...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && "
                           "!e.closest('.unseen, .stage') && e.getBoundingClientRect().right > 360.5).map(e => e.outerHTML.slice(0, 80))")
            self.assertEqual(wide, [], where)
        fits("first screen")
        self.choose(self.photo())
        fits("photo")
        self.search()
        for view in ("metric", "plain", "both"):
            self.js("document.querySelector(`input[value=${arguments[0]}]`).click()", view)
            fits(view)
        self.js("document.querySelector('.why').click()")
        self.until("document.querySelectorAll('.effects li').length === 2", "features are explained")
        self.assertLessEqual(self.js("return document.getElementById('why').getBoundingClientRect().right"), 360)
        fits("why")

    def test_the_keyboard_alone_is_enough(self):
        self.until("document.querySelectorAll('#examples button').length === 6", "examples are shown")

        def tab_to(selector):
            for _ in range(60):
                ActionChains(self.driver).send_keys(Keys.TAB).perform()
                seen = self.js("""const at = document.activeElement;
                    const ring = e => e && getComputedStyle(e).outlineStyle !== 'none' && parseFloat(getComputedStyle(e).outlineWidth) >= 2;
                    return [at.matches(arguments[0]), ring(at) || ring(at.closest('label')), at.outerHTML.slice(0, 80)]""", selector)
                self.assertTrue(seen[1], f"focus cannot be seen on {seen[2]}")
                if seen[0]:
                    return
            self.fail(f"Tab never came to {selector}")
        press = lambda *keys: ActionChains(self.driver).send_keys(*keys).perform()  # noqa: E731
        tab_to("#examples button")
        press(Keys.ENTER)
        self.settled(0)
        self.assertEqual(self.js("return document.activeElement.id"), "heading")
        tab_to("input[name=view]")
        press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        self.assertEqual(self.js("return document.getElementById('panes').dataset.view"), "both")
        tab_to(".why")
        press(Keys.ENTER)
        self.until("document.querySelectorAll('.effects li').length === 2", "features are explained")
        press(Keys.ESCAPE)
        self.assertTrue(self.js("return document.activeElement.matches('.why')"))
        tab_to(".more")
        press(Keys.ENTER)
        self.settled(2)
        self.assertTrue(self.text("#heading").startswith("More like"))
        self.js("document.body.focus(); document.activeElement.blur(); scrollTo(0, 0)")
        self.driver.back()
        self.until("document.getElementById('heading').textContent === 'Found for your photo'", "Back returns to the photo")

    def test_dark_and_light_can_be_read(self):
        def contrast(selector):
            return self.js("""
                const part = v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
                const a = light(getComputedStyle(document.querySelector(arguments[0])).color), b = light(getComputedStyle(document.body).backgroundColor);
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)""", selector)
        self.choose(self.photo())
        self.search()
        grounds = set()
        for scheme in ("light", "dark"):
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
                {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
            for selector in ("body", ".quiet", ".certified", ".tile .kind", ".tile .link", ".stages", ".rank"):
                self.assertGreaterEqual(contrast(selector), 4.5, f"{selector}, {scheme}")
            grounds.add(self.js("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(grounds), 2)
        moving = self.js("return [...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length")
        self.assertEqual(moving, 0)

    def test_the_policy_forbids_what_the_page_does_not_do(self):
        with urllib.request.urlopen(self.between.address, timeout=10) as response:
            policy = response.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'none'", "frame-ancestors 'none'"):
            self.assertIn(part, policy)
        self.js("const s = document.createElement('script'); s.textContent = 'window.foreign = 1'; document.body.append(s)")
        self.assertIsNone(self.js("return window.foreign ?? null"))
        said = browser.wait(self.complaints, "the browser tells of what was forbidden")
        self.assertIn("Content Security Policy", said[0])


if __name__ == "__main__":
    support.main()
