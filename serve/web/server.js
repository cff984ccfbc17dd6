// The server, as the page sees it: questions, pictures, and failures in words that help.

const KEPT = "hemline-token"; // in sessionStorage: gone with the tab
const REDUCE_ABOVE = 4 << 20; // bytes: photos above it are made smaller before they are sent
const REDUCED_SIDE = 2048;    // pixels: more than any feature looks at
const READ_BY_SERVER = new Set(["image/jpeg", "image/png", "image/webp", "image/avif"]);

/** What went wrong: a title, what to do, and what the server said. `token`: it asks for one. */
export class Failure extends Error {
  constructor(title, advice, { detail = "", token = false, again = true } = {}) {
    super(title);
    Object.assign(this, { advice, detail, token, again });
  }
}

let token = "";
try {
  token = sessionStorage.getItem(KEPT) ?? "";
} catch { /* storage is switched off: the token is asked for again after a reload */ }

export function keepToken(text) {
  token = text;
  try {
    sessionStorage.setItem(KEPT, text);
  } catch { /* as above */ }
}

async function fetchChecked(path, options = {}) {
  const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer",
                      "Check that you are online and that the server runs, then try again.");
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function failureOf(response) {
  let said = {};
  try {
    said = (await response.json()).error ?? {};
  } catch { /* a proxy's page, not the server's JSON */ }
  const detail = said.message ?? `The server answered ${response.status}.`;
  const wait = Number(response.headers.get("Retry-After"));
  switch (response.status) {
    case 401:
    case 403:
      return new Failure("This shop asks for a token", "Enter the token that whoever runs the server gave you.",
                         { detail, token: true });
    case 404:
      return new Failure("That is not in the shop", "Check the item number, or search with a photo.", { detail });
    case 408:
      return new Failure("The photo took too long to arrive",
                         "Try again on a faster connection, or take a smaller photo.", { detail });
    case 413:
      return new Failure("This photo is too large", "Choose a smaller one.", { detail, again: false });
    case 415:
    case 422:
      return new Failure("This photo cannot be read", "Choose another one, or save it anew as JPEG.",
                         { detail, again: false });
    case 429:
    case 503:
      return new Failure("The shop is busy", wait ? `Try again in ${wait} s.` : "Try again in a moment.", { detail });
    default:
      return new Failure("This could not be answered",
                         "Try again. If it happens once more, tell whoever runs the server.", { detail });
  }
}

export async function shopInfo() {
  return (await fetchChecked("v1/info")).json();
}

/** Asks; `question` has a photo (a Blob) with a box, or an item. Adds `network_ms`: the time outside of the server. */
export async function ask(question, signal) {
  const began = performance.now();
  const said = question.item ? byItem(question) : byPhoto(question);
  const response = await fetchChecked("v1/query", { method: "POST", signal, ...said });
  const answer = await response.json();
  answer.timing.network_ms = Math.max(0, performance.now() - began - answer.timing.total_ms);
  return answer;
}

function byItem({ item, k, categories, exact, plain, explain }) {
  const body = { item_id: item, k };
  if (categories.length) body.categories = categories;
  if (exact) body.exact = true;
  if (plain) body.also_plain = true;
  if (explain) body.explain = true;
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

function byPhoto({ photo, box, k, categories, exact, plain, explain }) {
  const body = new FormData();
  body.append("k", k);
  for (const name of categories) body.append("categories", name);
  if (box) body.append("box", box);
  if (exact) body.append("exact", "true");
  if (plain) body.append("also_plain", "true");
  if (explain) body.append("explain", "true");
  body.append("photo", photo, "photo");
  return { body };
}

/** What is sent of a photo that the browser shows: the file itself, unless it is needlessly large (phones' often are)
 * or of a form that only the browser reads; then a JPEG of what is seen. Parts of the photo stay the same parts. */
export async function toSend(file, picture) {
  if (READ_BY_SERVER.has(file.type) && file.size <= REDUCE_ABOVE) return file;
  const scale = Math.min(1, REDUCED_SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(picture.naturalHeight * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return await new Promise(done => canvas.toBlob(done, "image/jpeg", 0.92)) ?? file;
}

// Pictures go through fetch: an <img> could not send the token.
const pictures = new Map(); // row -> promise of { blob, url }, or of null where there is no picture
const KEEP_PICTURES = 400;
let picturesOf = "";

/** A row's picture, { blob, url }, or null. Rows move between generations, so only one generation's are kept. */
export function pictureOf(row, generation) {
  if (generation !== picturesOf) forget(pictures.size);
  picturesOf = generation;
  if (!pictures.has(row)) {
    if (pictures.size >= KEEP_PICTURES) forget(KEEP_PICTURES / 4);
    pictures.set(row, fetchChecked(`v1/images/${row}`)
      .then(response => response.blob()).then(blob => ({ blob, url: URL.createObjectURL(blob) })).catch(() => null));
  }
  return pictures.get(row);
}

function forget(count) {
  for (const [row, promise] of [...pictures].slice(0, count)) {
    pictures.delete(row);
    promise.then(picture => picture && URL.revokeObjectURL(picture.url));
  }
}
