// The page: what is asked (a photo with a box, or an item of the shop), when, and what is shown meanwhile.
// The address says which: "#item=ID", or nothing for the photo; so the browser's own Back returns to it.
import { answerSays, drawAnswer, drawSkeletons, showPicture } from "./answer.js";
import { Crop } from "./crop.js";
import { byId, capital, count, element, plural } from "./page.js";
import { ask, Failure, keepToken, pictureOf, shopInfo, toSend } from "./server.js";
import { openWhy } from "./why.js";

const SETTLE_MS = 400;   // after a change, before it is asked
const NARROW = matchMedia("(max-width: 899px)");
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

const state = {
  info: null,
  photo: null,    // what is sent of it, a Blob
  asked: false,   // the photo was searched for: changes are asked at once from then on
  found: null,    // { key, answer, question } of the photo
  running: null,  // AbortController
  retry: null,    // what failed
  rows: new Map(), // item id -> a row that shows it
};

// ---- what is asked ----

const itemAsked = () => {
  try {
    return decodeURIComponent(/^#item=(.+)$/.exec(location.hash)?.[1] ?? "");
  } catch {
    return "";
  }
};

const categoriesChosen = () => [...document.querySelectorAll("#categories input:checked")].map(input => input.value);

const goTo = item => { location.hash = `item=${encodeURIComponent(item)}`; };

function question() {
  const common = { k: Number(byId("k").value), categories: categoriesChosen(), exact: byId("exact").checked,
                   plain: Boolean(state.info.metric) };
  const item = itemAsked();
  if (item) return { item, ...common };
  return state.photo && { photo: state.photo, box: crop.text, ...common };
}

const keyOf = ({ photo, ...rest }) => JSON.stringify(rest);

let settling = 0;
function changed() {
  clearTimeout(settling);
  if (itemAsked() || state.asked) settling = setTimeout(search, SETTLE_MS);
}

function cropChanged(box) {
  byId("crop-says").textContent = box.whole ? "Whole photo"
    : `${Math.round(100 * box.w)}% × ${Math.round(100 * box.h)}% of it`;
  byId("whole").disabled = box.whole;
  clearTimeout(settling);
  if (!box.held) changed();
}

const picture = byId("picture");
const crop = new Crop(byId("stage"), byId("crop"), cropChanged);

// ---- asking ----

async function search({ pressed = false, focus = false } = {}) {
  clearTimeout(settling);
  const q = state.info && question();
  if (!q) return;
  state.running?.abort();
  const running = state.running = new AbortController();
  if (!q.item) state.asked = true;
  show("results");
  if (pressed || !byId("results").dataset.filled) {
    drawSkeletons(q.k, q.plain);
    chooseView();
  }
  byId("answer").setAttribute("aria-busy", "true");
  byId("live").textContent = "Searching…";
  if (pressed && NARROW.matches) byId("answer").scrollIntoView({ behavior: CALM.matches ? "auto" : "smooth" });
  try {
    const answer = await ask(q, running.signal);
    if (!q.item) state.found = { key: keyOf(q), answer, question: q };
    present(answer, q);
    if (focus) byId("heading").focus({ preventScroll: NARROW.matches === false && scrollY < 200 });
  } catch (error) {
    if (running.signal.aborted) return; // a later question is being asked
    fail(error, () => search({ pressed: true }));
  } finally {
    if (state.running === running) byId("answer").removeAttribute("aria-busy");
  }
}

function present(answer, q) {
  for (const hit of answer.hits.concat(answer.plain_hits ?? [])) state.rows.set(hit.item_id, hit.row);
  if (answer.generation !== state.info.generation) shopInfo().then(drawShop, () => {}); // published meanwhile
  byId("results").dataset.filled = "yes";
  drawAnswer(answer, q.item ?? "", {
    more: hit => goTo(hit.item_id),
    why: hit => openWhy(hit, answer, q.item ? null : { picture, crop: askedPart(q.box) }, explanations(answer, q)),
  });
  show("results");
  chooseView();
  byId("live").textContent = answerSays(answer, q.item);
}

function askedPart(box) {
  const [x, y, w, h] = box ? box.split(",").map(Number) : [0, 0, 1, 1];
  return { x, y, w, h };
}

/** Asked for only when somebody wants to know: it costs several evaluations a hit. Once for all hits of an answer. */
function explanations(answer, q) {
  answer.explained ??= ask({ ...q, plain: false, explain: true })
    .then(same => new Map(same.hits.map(hit => [hit.item_id, hit.explanation])))
    .catch(error => { answer.explained = undefined; throw error; });
  return answer.explained;
}

// ---- what is shown ----

/** One of: first, failure, results. */
function show(name) {
  for (const id of ["first", "failure", "results"]) byId(id).hidden = id !== name;
}

function fail(error, retry) {
  const failure = error instanceof Failure ? error
    : new Failure("The page and the server do not understand each other", "Reload the page.",
                  { detail: String(error) });
  state.retry = retry;
  delete byId("results").dataset.filled;
  byId("failure-title").textContent = failure.message;
  byId("failure-advice").textContent = failure.advice;
  byId("failure-detail").textContent = failure.detail;
  byId("retry").hidden = !retry || !failure.again;
  byId("live").textContent = "";
  show("failure");
  if (failure.token && !byId("ask-token").open) byId("ask-token").showModal();
}

function chooseView() {
  const chosen = document.querySelector("input[name=view]:checked").value;
  byId("panes").dataset.view = byId("views").hidden ? "metric" : chosen;
}

function markTwins(event) {
  const item = event.target.closest?.(".tile")?.dataset.item, both = byId("panes").dataset.view === "both";
  for (const tile of byId("panes").querySelectorAll(".tile"))
    tile.classList.toggle("twin", both && item !== undefined && tile.dataset.item === item);
}

/** The panel and the answer for what the address says. */
async function route() {
  const item = itemAsked();
  document.querySelector("main").dataset.asks = item ? "item" : state.photo ? "photo" : "nothing";
  byId("like").hidden = !item;
  byId("photo").hidden = Boolean(item) || !state.photo;
  byId("drop").hidden = Boolean(item) || Boolean(state.photo) || state.info?.photos_can_be_asked === false;
  byId("back").textContent = state.photo ? "Back to your photo" : "Start with a photo";
  byId("search").disabled = !state.info || !(item || state.photo);
  if (!state.info) return;
  if (item) {
    byId("like-id").textContent = item;
    const row = state.rows.get(item);
    const shown = row === undefined ? null : await pictureOf(row, state.info.generation);
    if (itemAsked() === item) showPicture(byId("like").querySelector(".frame"), shown);
    return search({ pressed: true, focus: true });
  }
  state.running?.abort();
  if (state.found && state.found.key === keyOf(question())) return present(state.found.answer, state.found.question);
  if (state.asked) return search({ pressed: true });
  show("first");
}

// ---- the photo ----

async function usePhoto(file, { atOnce = false } = {}) {
  const url = URL.createObjectURL(file);
  const trial = new Image();
  trial.src = url;
  try {
    await trial.decode();
  } catch {
    URL.revokeObjectURL(url);
    return fail(new Failure("This file is not a photo that can be read", "Choose a JPEG, PNG, WebP or AVIF file.",
                            { detail: file.name ?? "", again: false }), null);
  }
  byId("why").close();
  const old = picture.src;
  picture.src = url;
  if (old) URL.revokeObjectURL(old);
  await picture.decode();
  byId("stage").style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight); // small ones are enlarged
  Object.assign(state, { photo: await toSend(file, picture), asked: false, found: null });
  state.running?.abort();
  crop.reset();
  clearTimeout(settling);
  if (itemAsked()) history.pushState(null, "", location.pathname + location.search);
  delete byId("results").dataset.filled;
  await route();
  if (atOnce) return search({ pressed: true, focus: true });
  byId("search").focus({ preventScroll: true });
}

function takeFirst(files) {
  const file = [...files ?? []].find(f => f.type.startsWith("image/")) ?? files?.[0];
  if (file && state.info?.photos_can_be_asked) usePhoto(file);
}

for (const id of ["choose", "take", "another"]) {
  byId(id).addEventListener("change", event => {
    takeFirst(event.target.files);
    event.target.value = ""; // the same file may be chosen again
  });
}

let inside = 0; // dragenter without its dragleave
const carriesFiles = event => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", event => {
  if (!carriesFiles(event)) return;
  inside++;
  byId("hover").hidden = false;
});
addEventListener("dragleave", event => {
  if (carriesFiles(event) && --inside <= 0) byId("hover").hidden = true;
});
addEventListener("dragover", event => carriesFiles(event) && event.preventDefault());
addEventListener("drop", event => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  inside = 0;
  byId("hover").hidden = true;
  takeFirst(event.dataTransfer.files);
});
addEventListener("paste", event => event.clipboardData?.files.length && takeFirst(event.clipboardData.files));

// ---- controls ----

byId("options").addEventListener("submit", event => {
  event.preventDefault();
  search({ pressed: true });
});
byId("options").addEventListener("change", changed);
byId("whole").addEventListener("click", () => {
  crop.reset();
  byId("crop").focus();
});
byId("views").addEventListener("change", chooseView);
for (const name of ["pointerover", "focusin"]) byId("panes").addEventListener(name, markTwins);
byId("by-item").addEventListener("submit", event => {
  event.preventDefault();
  const item = byId("item").value.trim();
  if (item) goTo(item);
});
byId("retry").addEventListener("click", () => state.retry?.());
byId("token-form").addEventListener("submit", event => {
  event.preventDefault();
  keepToken(byId("token").value.trim());
  byId("token").value = "";
  byId("ask-token").close();
  state.retry?.();
});
document.querySelector(".skip").addEventListener("click", event => {
  event.preventDefault();
  byId("answer").focus();
});
addEventListener("hashchange", route);

// ---- the shop ----

function drawShop(info) {
  const chosen = new Set(categoriesChosen());
  state.info = info;
  byId("shop").textContent = `${plural(info.gallery_items, "piece")}, ${plural(info.gallery_photos, "photo")}`;
  byId("categories-set").hidden = info.categories.length < 2;
  byId("categories").replaceChildren(...info.categories.map(({ name, photos }) =>
    element("label", { className: "chip" },
            element("input", { type: "checkbox", value: name, checked: chosen.has(name) }),
            element("span", {}, capital(name), element("small", {}, count(photos))))));
  byId("no-photos").hidden = info.photos_can_be_asked;
  byId("no-photos-why").textContent = info.why_no_photos ?? "";
}

/** Photos of the shop itself to begin with; those without a picture are left out. */
async function drawExamples(info) {
  const slots = info.examples.map(() =>
    element("li", {}, element("span", { className: "frame" }, element("img", { alt: "", hidden: true }))));
  byId("examples").replaceChildren(...slots);
  byId("examples-set").hidden = slots.length === 0;
  await Promise.all(info.examples.map(async ({ row, item_id }, i) => {
    state.rows.set(item_id, row);
    const shown = await pictureOf(row, info.generation);
    if (!shown) return slots[i].remove();
    const button = element("button", { type: "button", className: "picture",
                                       "aria-label": `Search with a photo of ${item_id}` }, slots[i].firstChild);
    showPicture(button.firstChild, shown);
    button.addEventListener("click", () =>
      info.photos_can_be_asked ? usePhoto(shown.blob, { atOnce: true }) : goTo(item_id));
    slots[i].append(button);
  }));
  byId("examples-set").hidden = byId("examples").children.length === 0;
}

async function start() {
  byId("first").hidden = false;
  byId("failure").hidden = true;
  try {
    drawShop(await shopInfo());
  } catch (error) {
    return fail(error, start);
  }
  route();
  drawExamples(state.info);
}

start();
