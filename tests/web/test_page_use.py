"""The search page in a browser: what it says when something goes wrong, and whether one can use it."""
import threading
import urllib.request

from page_case import MISSING, PageCase, support

if not MISSING:
    import browser
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys


class PageUse(PageCase):
    def test_a_server_that_is_gone_and_comes_back(self):
        self.choose(self.photo())
        self.between.alter = lambda _m, path, _h: "drop" if path == "/v1/query" else None
        self.one("#search").click()
        self.assertEqual(self.failure()[0], "The server does not answer")
        self.between.alter = None
        self.one("#retry").click()
        self.until_tiles(20, "trying again helps")
        self.assertEqual(self.state(), "results")

    def test_a_server_that_is_gone_from_the_start(self):
        self.between.alter = lambda _m, path, _h: "drop" if path == "/v1/info" else None
        self.open(wait=False)
        self.assertEqual(self.failure()[0], "The server does not answer")
        self.between.alter = None
        self.one("#retry").click()
        self.until("document.getElementById('shop').textContent.length > 3", "trying again helps")
        self.assertEqual(self.state(), "first")

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
        browser.wait(lambda: self.failure()[0] == "That is not in the shop", "an unknown item is told")

    def test_a_token_is_asked_for_and_kept_for_the_tab(self):
        def guarded(_method, path, headers):
            fits = not path.startswith("/v1/") or headers["Authorization"] == "Bearer sesame"
            return None if fits else browser.error(401, "wanted: a token")
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
        self.until("document.querySelectorAll('#pane-metric .frame.none').length >= 5", "placeholders are shown")
        self.assertEqual(len(self.tiles()), 20)

    # ---- how it looks and feels ----

    def test_waiting_is_shown_and_nothing_jumps(self):
        go = threading.Event()

        def held(_method, path, _headers):
            if path == "/v1/query":
                go.wait(10)

        def place(name):
            return self.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", f".{name}")
        self.between.alter = held
        self.choose(self.photo())
        self.one("#search").click()
        self.until("document.querySelectorAll('#pane-metric .skeleton').length === 20", "skeletons are shown")
        self.assertEqual(self.one("#answer").get_attribute("aria-busy"), "true")
        self.assertFalse(self.one("#pane-plain").is_displayed())
        top, tall = place("grid")["top"], place("tile")["height"]
        go.set()
        self.until_tiles(20, "the answer takes their place")
        self.assertAlmostEqual(place("grid")["top"], top, delta=1)
        self.assertAlmostEqual(place("tile")["height"], tall, delta=1)
        self.assertLess(self.js("return window.shifts"), 0.02)

    def test_a_phone_never_scrolls_sideways(self):
        self.screen(360, 740, touch=True)
        self.open()

        def fits(where):
            self.assertLessEqual(self.js("return document.documentElement.scrollWidth"), 360, where)
            wide = self.js("""return [...document.querySelectorAll('main *')]
                .filter(e => e.checkVisibility() && !e.closest('.unseen, .stage'))
                .filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.outerHTML.slice(0, 80))""")
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
                    const ring = e => {
                      const style = e && getComputedStyle(e);
                      return style && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                    };
                    return [at.matches(arguments[0]), ring(at) || ring(at.closest('label')), at.outerHTML.slice(0, 80)];
                    """, selector)
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
        self.until_heading("Found for your photo")

    def test_dark_and_light_can_be_read(self):
        def contrast(selector):
            return self.js("""
                const part = v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                const light = c => {
                  const [r, g, b] = c.match(/[\\d.]+/g).map(Number);
                  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
                };
                const a = light(getComputedStyle(document.querySelector(arguments[0])).color);
                const b = light(getComputedStyle(document.body).backgroundColor);
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)""", selector)
        self.choose(self.photo())
        self.search()
        grounds = set()
        for scheme in ("light", "dark"):
            wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                "features": [{"name": name, "value": value} for name, value in wishes.items()]})
            for selector in ("body", ".quiet", ".certified", ".tile .kind", ".tile .link", ".stages", ".rank"):
                self.assertGreaterEqual(contrast(selector), 4.5, f"{selector}, {scheme}")
            grounds.add(self.js("return getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(len(grounds), 2)
        moving = self.js("return [...document.querySelectorAll('*')].map(e => getComputedStyle(e).transitionDuration)")
        self.assertEqual(set(moving), {"0s"})

    def test_the_policy_forbids_what_the_page_does_not_do(self):
        with urllib.request.urlopen(self.between.address, timeout=10) as response:
            policy = response.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'none'",
                     "frame-ancestors 'none'"):
            self.assertIn(part, policy)
        self.js("""const script = document.createElement('script');
            script.textContent = 'window.foreign = 1';
            document.body.append(script)""")
        self.assertIsNone(self.js("return window.foreign ?? null"))
        said = browser.wait(self.complaints, "the browser tells of what was forbidden")
        self.assertIn("Content Security Policy", said[0])


if __name__ == "__main__":
    support.main()
