// Why a piece stands where it stands: what each feature of the photos costs it.
import { showPicture } from "./answer.js";
import { byId, distance, element, percent } from "./page.js";
import { pictureOf } from "./server.js";

const NAMES = { hog: "Shape and outline", color: "Colour", ccv: "Areas of colour", harris: "Corners and texture" };
const PICTURE_SIDE = 480;

let shown = null; // the hit that the dialog is about

/** `asked`: the picture that was asked about with its crop, or null; `explained`: promise of item id -> explanation. */
export function openWhy(hit, answer, asked, explained) {
  shown = hit;
  byId("why-heading").textContent = `Why ${hit.item_id} is number ${hit.rank}`;
  byId("why-more").href = `#item=${encodeURIComponent(hit.item_id)}`;
  drawAsked(asked);
  pictureOf(hit.row, answer.generation)
    .then(picture => shown === hit && showPicture(byId("why-picture").parentElement, picture));
  const fact = (name, value) => [element("dt", {}, name), element("dd", {}, value)];
  byId("why-facts").replaceChildren(
    ...fact("Match probability", percent(hit.probability, 1)),
    ...fact("Place by the metric", `${hit.rank}`),
    ...fact("Its photo’s place by distance", `${hit.rank_by_distance}`),
    ...fact("Distance", distance(hit.distance)));
  byId("why-effects").replaceChildren(element("p", { className: "quiet" }, "Comparing feature by feature…"));
  byId("why").showModal();
  explained.then(all => shown === hit && drawEffects(all.get(hit.item_id)),
                 failure => shown === hit && say(`${failure.message}. ${failure.detail || failure.advice || ""}`));
}

function say(text) {
  byId("why-effects").replaceChildren(element("p", { className: "quiet" }, text));
}

// The part of the photo that was looked at.
function drawAsked(asked) {
  const canvas = byId("why-asked");
  canvas.parentElement.hidden = !asked;
  if (!asked) return;
  const { picture, crop } = asked;
  const [width, height] = [crop.w * picture.naturalWidth, crop.h * picture.naturalHeight];
  const scale = Math.min(1, PICTURE_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const [left, top] = [crop.x * picture.naturalWidth, crop.y * picture.naturalHeight];
  canvas.getContext("2d").drawImage(picture, left, top, width, height, 0, 0, canvas.width, canvas.height);
}

function drawEffects(explanation) {
  if (!explanation) return say("The shop has changed since this search. Search again to see why.");
  const most = Math.max(...explanation.blocks.map(block => Math.abs(block.effect)), 1e-9);
  byId("why-effects").replaceChildren(
    element("h3", {}, "What each feature changes"),
    element("ul", { className: "effects" }, ...explanation.blocks.map(({ name, effect }) => {
      const fill = element("span", { className: effect < 0 ? "costs" : "helps" });
      fill.style.width = `${50 * Math.abs(effect) / most}%`;
      return element("li", {}, element("span", { className: "feature" }, NAMES[name] ?? name),
                     element("span", { className: "scale", "aria-hidden": "true" }, fill),
                     element("b", {}, effect.toFixed(2).replace("-", "−")));
    })),
    element("p", { className: "quiet" }, "Below zero: the score that it loses because the two photos differ there, " +
            "compared with a photo that equals the shop’s in this feature alone. Near zero: they agree. Features act " +
            "together, so the numbers need not add up."));
}

byId("why").addEventListener("close", () => { shown = null; });
byId("why").addEventListener("click", event => event.target === byId("why") && byId("why").close()); // outside of it
byId("why-more").addEventListener("click", () => byId("why").close());
