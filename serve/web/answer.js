// An answer, drawn: the grid by the learned metric, the one by distance, what moved between them, how it came about.
import { byId, capital, count, distance, duration, element, percent, plural, unseen } from "./page.js";
import { pictureOf } from "./server.js";

const STAGES = ["wait", "decode", "embed", "search", "network"];
const SKELETONS_MOST = 20;
const FRAME = 4 / 5; // of a tile, as in app.css
const FILL = 1.25;   // a picture of nearly that shape fills its tile; the rest are shown whole

// A picture is fetched when its tile comes near the screen; those of a ranking that is not shown, not at all.
const nearScreen = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    nearScreen.unobserve(target);
    pictureOf(Number(target.dataset.row), target.dataset.generation).then(picture => showPicture(target, picture));
  }
}, { rootMargin: "400px" });

/** Puts a picture, or a word where there is none, into a frame. */
export function showPicture(frame, picture) {
  const image = frame.querySelector("img");
  frame.classList.toggle("none", !picture);
  image.hidden = !picture;
  if (!picture) return;
  image.onload = () => {
    const shape = image.naturalWidth / image.naturalHeight;
    frame.classList.add("shown");
    frame.classList.toggle("filled", shape > FRAME / FILL && shape < FRAME * FILL);
  };
  image.src = picture.url;
}

// What each way of ranking says of the other: where the item stands there, by item id.
function movedTo(hit, place, nearest) {
  if (place === undefined)
    return ["new", "new",
            `not among the ${nearest} nearest by distance; its photo was number ${count(hit.rank_by_distance)} there`];
  const places = place - hit.rank;
  if (places === 0) return ["same", "=", "at the same place by distance"];
  return places > 0 ? ["up", `▲ ${places}`, `${plural(places, "place")} up: number ${place} by distance`]
                    : ["down", `▼ ${-places}`, `${plural(-places, "place")} down: number ${place} by distance`];
}

function goesTo(place, best) {
  if (place === undefined) return ["left", "out", `not among the ${best} likeliest by the learned metric`];
  return ["goes", `→ ${place}`, `number ${place} by the learned metric`];
}

function tile(hit, generation, [kind, mark, meaning] = [], scored, handlers) {
  const frame = element("span", { className: "frame", "data-row": hit.row, "data-generation": generation },
                        element("img", { alt: "", hidden: true }));
  nearScreen.observe(frame);
  const made = element("li", { className: "tile", "data-item": hit.item_id });
  const picture = element("button", { type: "button", className: "picture", tabIndex: -1, "aria-hidden": "true",
                                      title: `More like ${hit.item_id}` }, frame);
  const name = element("p", { className: "name" }, element("span", { className: "rank" }, `${hit.rank}`),
                       element("span", { className: "id", title: hit.item_id }, hit.item_id));
  if (mark) name.append(element("span", { className: `mark ${kind}`, title: capital(meaning) },
                                element("span", { "aria-hidden": "true" }, mark), unseen(meaning)));
  const kinds = [...new Set([hit.label, hit.category])].filter(text => text).map(capital).join(" · ");
  made.append(picture, name, element("p", { className: "kind quiet", title: kinds }, kinds || "\u00a0"));
  if (scored) {
    const fill = element("span", { className: "fill" });
    fill.style.width = `${100 * hit.probability}%`;
    made.append(element("p", { className: "chance" },
                        element("span", { className: "bar", "aria-hidden": "true" }, fill),
                        element("span", { className: "number" }, percent(hit.probability)),
                        unseen("match probability")));
  } else {
    made.append(element("p", { className: "chance" },
                        element("span", { className: "quiet" }, `Distance ${distance(hit.distance)}`)));
  }
  const more = element("button", { type: "button", className: "link more" }, "More like this",
                       unseen(`: ${hit.item_id}`));
  const actions = element("p", { className: "actions" }, more);
  for (const button of [picture, more]) button.addEventListener("click", () => handlers.more(hit));
  if (scored) {
    const why = element("button", { type: "button", className: "link why" }, "Why?",
                        unseen(` ${hit.item_id} is number ${hit.rank}`));
    why.addEventListener("click", () => handlers.why(hit));
    actions.append(why);
  }
  made.append(actions);
  return made;
}

export function drawSkeletons(k, plain) {
  for (const grid of byId("panes").querySelectorAll(".grid"))
    grid.replaceChildren(...Array.from({ length: Math.min(k, SKELETONS_MOST) }, () =>
      element("li", { className: "tile skeleton", "aria-hidden": "true" }, element("span", { className: "frame" }),
              ...["name", "kind", "chance", "actions"].map(className => element("p", { className })))));
  byId("verdict").hidden = true;
  byId("heading").textContent = "Searching…";
  byId("summary").textContent = "\u00a0";
  byId("views").hidden = !plain;
  byId("panes").hidden = false;
  byId("panes").classList.remove("dim");
  byId("pane-metric-name").textContent = plain ? "Learned metric" : "By distance";
  drawTiming(null);
  for (const id of ["certificate", "source"]) byId(id).replaceChildren();
}

/** The shop does not have what was asked for. Of an item that is in the shop there is no such verdict. */
const isNoMatch = (answer, item) => !item && answer.metric?.reranked === true && answer.metric.no_match;

/** `item`: that was asked about, "" where a photo was; `handlers`: more(hit), why(hit). */
export function drawAnswer(answer, item, handlers) {
  const scored = answer.metric?.reranked === true;
  const plain = scored ? answer.plain_hits ?? null : null;
  const places = list => new Map(list.map((hit, i) => [hit.item_id, i + 1]));
  const byDistance = plain && places(plain), byMetric = places(answer.hits);
  byId("pane-metric").querySelector(".grid").replaceChildren(...answer.hits.map(hit =>
    tile(hit, answer.generation, plain ? movedTo(hit, byDistance.get(hit.item_id), plain.length) : [], scored,
         handlers)));
  byId("pane-plain").querySelector(".grid").replaceChildren(...(plain ?? []).map(hit =>
    tile(hit, answer.generation, goesTo(byMetric.get(hit.item_id), answer.found), false, handlers)));
  byId("views").hidden = !plain || answer.found === 0;
  const noMatch = isNoMatch(answer, item);
  byId("panes").classList.toggle("dim", noMatch);
  byId("pane-metric-name").textContent = noMatch ? "Nearest anyway" : scored ? "Learned metric" : "By distance";
  byId("panes").hidden = answer.found === 0;
  byId("heading").textContent = item ? `More like ${item}` : `${noMatch ? "No match" : "Found"} for your photo`;
  byId("summary").replaceChildren(...summary(answer, scored));
  drawVerdict(answer, noMatch);
  drawTiming(answer.timing);
  byId("certificate").textContent = certificateSays(answer.metric, scored);
  byId("source").textContent = `Generation ${answer.generation} · ${answer.space}, ${answer.distance} distance` +
    (scored ? ` · ${plural(answer.metric.scored, "photo")} scored` : "");
}

/** The answer in one sentence, for those who hear the page. */
export function answerSays(answer, item) {
  if (!answer.found) return "Nothing was found.";
  const best = answer.hits[0];
  const likely = best.probability === undefined ? "" : `, ${percent(best.probability)}`;
  return isNoMatch(answer, item) ? `No match. The nearest is ${best.item_id}${likely}.`
                                 : `${plural(answer.found, "result")}. The best is ${best.item_id}${likely}.`;
}

function summary(answer, scored) {
  const found = answer.found < answer.wanted ? `${answer.found} of ${answer.wanted}` : plural(answer.found, "piece");
  const reason = answer.shortfall ? ` (${answer.shortfall})` : "";
  const photos = plural(answer.gallery_photos, "photo");
  const said = [`${found}${reason}, from ${photos} in ${plural(answer.categories_searched, "category", "categories")}`];
  if (scored && answer.metric.as_certified && (answer.metric.exact || answer.metric.certificate))
    said.push(" · ", element("span", { className: "certified" },
                             `✓ ${answer.metric.exact ? "exact" : "certified"} ranking`));
  return said;
}

function drawVerdict(answer, noMatch) {
  const nothing = answer.found === 0;
  byId("verdict").hidden = !noMatch && !nothing;
  byId("verdict").querySelector("h3").textContent = nothing ? "Nothing found" : "This shop does not seem to have it";
  if (nothing) {
    byId("verdict-says").textContent = "The categories that you chose hold nothing to compare with. " +
      "Choose others, or none to search all.";
  } else if (noMatch) {
    byId("verdict-says").textContent = `No match: the likeliest piece has a probability of ` +
      `${percent(answer.hits[0].probability)}. From ${percent(answer.metric.threshold)} on it would count as one, ` +
      `a bar that about ${percent(answer.metric.false_accept)} of photos without a match pass.`;
  }
}

/** `timing`: null while the answer is not there. */
function drawTiming(timing) {
  const parts = STAGES.map(name => [name, timing?.[`${name}_ms`] ?? 0]);
  byId("total").textContent = timing ? duration(timing.total_ms + timing.network_ms) : "…";
  byId("timing").replaceChildren(...parts.filter(([, ms]) => ms > 0).map(([name, ms]) => {
    const part = element("span", { className: `stage-${name}` });
    part.style.flexGrow = ms;
    return part;
  }));
  byId("stages").replaceChildren(...parts.map(([name, ms]) =>
    element("li", {}, element("i", { className: `stage-${name}` }), `${capital(name)} `,
            element("b", {}, timing ? duration(ms) : "… ms"))));
}

function certificateSays(metric, scored) {
  if (!metric) return "Ranked by distance: this shop has no learned metric.";
  if (!scored) return "Ranked by distance.";
  if (metric.exact) return "Exact: ranked as if every photo had been scored, so nothing can be missing.";
  const c = metric.certificate;
  if (!c) return "Not certified: there were no queries to measure with when this shop was indexed.";
  const queries = plural(c.queries, "sampled query was", "sampled queries were");
  const said = `when this shop was indexed, ${queries} answered this fast way and by scoring every photo; ` +
    `the fast top ${c.k} held ${percent(c.overlap, 1)} of the full one ` +
    `(95% interval ${percent(c.low, 1)} to ${percent(c.high, 1)}).`;
  return metric.as_certified ? `Certified: ${said}` : `Asked for otherwise than what was certified: ${said}`;
}
