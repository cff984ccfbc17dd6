"""The search page in a browser: what it asks, and what it shows of the answer."""
import io
import os
import random

from page_case import MISSING, PageCase, support

if not MISSING:
    import browser
    import shop
    from PIL import Image
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys


class Page(PageCase):
    def test_the_first_screen_says_what_to_do(self):
        self.assertEqual(self.state(), "first")
        self.assertEqual(self.text("#shop"), f"{shop.ITEMS} pieces, {shop.ITEMS} photos")
        self.assertIn("Draw a box", self.text("#first"))
        self.assertFalse(self.one("#search").is_enabled())
        self.assertEqual([chip.text.split("\n")[0] for chip in self.driver.find_elements(By.CSS_SELECTOR, ".chip")],
                         [c.capitalize() for c in shop.CATEGORIES])
        self.until("[...document.querySelectorAll('#examples img')].filter(i => i.naturalWidth > 0).length === 6",
                   "six examples are shown")

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
        self.until("[...document.querySelectorAll('#pane-metric img')].slice(0, 5).every(i => i.naturalWidth > 0)",
                   "pictures are shown")

    def test_stages_and_certificate_are_told(self):
        self.choose(self.photo())
        self.between.alter = self.keep_answer
        self.search()
        stages = self.text("#stages")
        for name in ("Wait", "Decode", "Embed", "Search", "Network"):
            self.assertIn(name, stages)
        width = self.js("return Number(document.querySelector('#timing .stage-search').style.flexGrow)")
        self.assertAlmostEqual(width, self.answer["timing"]["search_ms"], places=3)
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
        self.one("#k").send_keys(Keys.HOME)
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

    def test_keys_move_and_resize_the_box(self):
        self.choose(self.photo())
        crop = self.one("#crop")
        for key, times, shift in ((Keys.ARROW_LEFT, 25, True), (Keys.ARROW_UP, 20, True), (Keys.ARROW_RIGHT, 5, False),
                                  (Keys.ARROW_DOWN, 10, False)):
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
            chain = ActionChains(self.driver, duration=20)
            chain.move_to_element_with_offset(stage, int((x0 - 0.5) * width), int((y0 - 0.5) * height)).click_and_hold()
            chain.move_by_offset(int((x1 - x0) * width) // 2, int((y1 - y0) * height) // 2)
            chain.move_to_element_with_offset(stage, int((x1 - 0.5) * width), int((y1 - 0.5) * height))
            chain.release().perform()

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
        stage = self.js("return document.getElementById('stage').getBoundingClientRect().toJSON()")
        for kind, at in (("touchStart", 0.99), ("touchMove", 0.8), ("touchMove", 0.5), ("touchEnd", None)):
            finger = at and {"x": stage["x"] + at * stage["width"], "y": stage["y"] + at * stage["height"]}
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent",
                                        {"type": kind, "touchPoints": [finger] if finger else []})
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
        marks = self.texts("#pane-metric .mark > :first-child")
        for rank, (item, mark) in enumerate(zip(metric, marks, strict=True), 1):
            moved = plain.index(item) + 1 - rank if item in plain else None
            wanted = "new" if moved is None else "=" if moved == 0 else f"▲ {moved}" if moved > 0 else f"▼ {-moved}"
            self.assertEqual(mark, wanted, item)
        marks = self.texts("#pane-plain .mark > :first-child")
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
        self.assertEqual(self.text("#heading"), "No match for your photo")
        self.assertIn("97%", verdict.text)
        self.assertEqual(self.text("#pane-metric-name"), "Nearest anyway")
        self.assertLess(float(self.js("return getComputedStyle(document.querySelector('.tile img')).opacity")), 0.8)
        self.assertTrue(self.text("#live").startswith("No match"))
        self.js("document.querySelector('#pane-metric .picture').click()")
        self.settled(1)
        self.assertFalse(verdict.is_displayed(), "an item of the shop is in the shop")
        self.between.alter = None
        self.one("#back").click()
        self.until_heading("No match for your photo")
        self.search()
        self.assertFalse(verdict.is_displayed())

    def test_names_are_text_and_never_markup(self):
        evil = "<img src=x onerror='window.foreign=1'>&amp;"

        def rename(answer):
            for hit in answer["hits"] + answer.get("plain_hits", []):
                hit.update(item_id=evil + hit["item_id"], label=evil, category=evil)
        self.between.alter = lambda _m, path, _h: browser.edited(rename) if path == "/v1/query" else None
        self.choose(self.photo())
        self.search()
        self.assertTrue(self.text("#pane-metric .id").startswith(evil))
        self.js("document.querySelector('.why').click()")
        self.assertIn(evil, self.text("#why-heading"))
        self.assertEqual(self.js("return document.querySelectorAll('[onerror]').length + (window.foreign ?? 0)"), 0)
        self.one(".close").click()

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
        hits = self.ask_directly({"item_id": item, "k": 20})["hits"]
        self.assertEqual(self.tiles(), [hit["item_id"] for hit in hits])
        self.assertNotIn(item, self.tiles())
        self.assertEqual(self.js("return document.activeElement.id"), "heading")
        self.one("#back").click()
        self.until_heading("Found for your photo")
        self.assertEqual(self.tiles(), photos)
        self.assertEqual(len(self.between.asked()), 2, "it was not asked again")
        self.open(f"#item={item}")
        self.assertEqual(self.text("#like-id"), item)
        self.until_tiles(20, "an address alone is enough")


if __name__ == "__main__":
    support.main()
