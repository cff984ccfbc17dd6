// The crop box: which part of the photo is asked about. In parts of the photo, 0 to 1, whatever its size on the screen.

const STEP = 0.02;  // of an arrow key
const LEAST = 0.04; // side
const GRID = 10000; // a box is told to four decimals, and its edges stay inside the photo

const TOWARDS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Crop {
  /** `stage` holds the picture and `box` over it; `changed(crop)` is called while the box moves, and once more, with
   * `held` false, when it is let go. */
  constructor(stage, box, changed) {
    Object.assign(this, { stage, box, changed });
    this.reset();
    stage.addEventListener("pointerdown", event => this.#grab(event));
    stage.addEventListener("pointermove", event => this.#drag(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => this.#release());
    box.addEventListener("keydown", event => this.#key(event));
  }

  /** "x,y,w,h", or "" for the whole photo. */
  get text() {
    if (this.whole) return "";
    const edges = [this.x, this.y, this.x + this.w, this.y + this.h];
    const [left, top, right, bottom] = edges.map(v => Math.round(v * GRID));
    return [left, top, right - left, bottom - top].map(v => v / GRID).join(",");
  }

  /** Somebody holds it: it is not where it will be. */
  get held() {
    return Boolean(this.move);
  }

  get whole() {
    return this.w > 0.999 && this.h > 0.999;
  }

  reset() {
    this.#set(0, 0, 1, 1);
  }

  #set(x, y, w, h) {
    w = clamp(w, LEAST, 1);
    h = clamp(h, LEAST, 1);
    Object.assign(this, { x: clamp(x, 0, 1 - w), y: clamp(y, 0, 1 - h), w, h });
    const style = this.box.style;
    for (const [name, value] of [["left", this.x], ["top", this.y], ["width", w], ["height", h]])
      style[name] = `${100 * value}%`;
    this.box.classList.toggle("whole", this.whole);
    this.changed(this);
  }

  /** Between two corners, in any order. */
  #between(x0, y0, x1, y1) {
    const [left, right] = [clamp(Math.min(x0, x1), 0, 1), clamp(Math.max(x0, x1), 0, 1)];
    const [top, bottom] = [clamp(Math.min(y0, y1), 0, 1), clamp(Math.max(y0, y1), 0, 1)];
    this.#set(left, top, right - left, bottom - top);
  }

  #at(event) {
    const r = this.stage.getBoundingClientRect();
    return [(event.clientX - r.left) / r.width, (event.clientY - r.top) / r.height];
  }

  // A corner resizes, the box moves, and anywhere else a new box begins. In a box round the whole photo there is
  // nothing to move: a mouse begins a new one there too, and a finger scrolls the page.
  #grab(event) {
    if (event.button !== 0) return;
    const edge = event.target.dataset.edge;
    const inside = this.box.contains(event.target);
    if (!edge && this.whole && event.pointerType === "touch") return;
    const [x, y] = this.#at(event);
    if (edge) {
      const fixedX = edge.includes("w") ? this.x + this.w : this.x;
      const fixedY = edge.includes("n") ? this.y + this.h : this.y;
      this.move = (px, py) => this.#between(fixedX, fixedY, px, py);
    } else if (inside && !this.whole) {
      const [dx, dy] = [x - this.x, y - this.y];
      this.move = (px, py) => this.#set(px - dx, py - dy, this.w, this.h);
    } else {
      this.from = [x, y];
      this.move = (px, py) => {
        if (this.from && Math.hypot(px - x, py - y) < LEAST / 2) return; // a click is no box
        this.from = null;
        this.#between(x, y, px, py);
      };
    }
    this.stage.setPointerCapture(event.pointerId);
    this.box.focus({ preventScroll: true });
    event.preventDefault();
  }

  #drag(event) {
    if (this.move) this.move(...this.#at(event));
  }

  #release() {
    if (!this.move) return;
    this.move = null;
    this.changed(this);
  }

  #key(event) {
    const towards = TOWARDS[event.key];
    if (event.key === "Home" || event.key === "Escape") this.reset();
    else if (!towards) return;
    else if (event.shiftKey)
      this.#set(this.x, this.y, Math.min(this.w + towards[0], 1 - this.x), Math.min(this.h + towards[1], 1 - this.y));
    else this.#set(this.x + towards[0], this.y + towards[1], this.w, this.h);
    event.preventDefault();
  }
}
