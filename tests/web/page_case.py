"""What tests of the search page share: a real server of a drawn shop, a browser in front of it, and words for both."""
import json
import os
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
    import PIL  # noqa: F401
    from selenium.webdriver.common.by import By
    MISSING = None if browser.CHROMIUM and browser.DRIVER else "no chromium and chromedriver here (chromium-driver)"
except ImportError as failed:
    MISSING = f"{failed} (python3-selenium, python3-pil)"

STATES = "[...document.querySelectorAll('#first,#failure,#results')].filter(e => !e.hidden).map(e => e.id).join()"
WATCH_SHIFTS = """
  window.shifts = 0;
  new PerformanceObserver(list => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifts += shift.value;
  }).observe({ type: "layout-shift", buffered: true });"""


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
class PageCase(support.Case):
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
        cls.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_SHIFTS})

    @classmethod
    def make_shop(cls):
        manifest = shop.write(cls.folder)
        cls.hemline("ingest", cls.at("shop.h5"), "--manifest", manifest, "--features", "hog,color", "-q")
        cls.hemline("train", cls.at("shop.h5"), "-o", cls.at("metric"), "--tower", 0, "--hidden", 8, "--epochs", 2,
                    "-q")
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

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def until_heading(self, words):
        browser.wait(lambda: self.text("#heading") == words, f"the heading is '{words}'")

    def until_tiles(self, count, what):
        self.until(f"document.querySelectorAll('#pane-metric .tile:not(.skeleton)').length === {count}", what)

    def state(self):
        return self.js(f"return {STATES}")

    def complaints(self):
        """What the browser said against the page, but for refused requests, which tests cause."""
        said = self.driver.get_log("browser")
        return [entry["message"] for entry in said if entry["source"] != "network" and entry["level"] == "SEVERE" or
                "Content Security Policy" in entry["message"]]

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
        return self.js("return [...document.querySelectorAll(arguments[0])].map(t => t.dataset.item)",
                       f"#pane-{pane} .tile")

    def ask_directly(self, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/query", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def keep_answer(self, _method, path, _headers):
        def keep(status, body):
            self.answer = json.loads(body)
            return status, body
        return keep if path == "/v1/query" else None

    def failure(self):
        self.until("!document.getElementById('failure').hidden", "a failure is told")
        return self.text("#failure-title"), self.text("#failure")

    def box(self, asked):
        return [float(v) for v in asked["box"][0].split(",")]
