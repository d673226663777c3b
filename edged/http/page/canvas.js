// What lies over the live picture: shapes with corners that can be dragged, and where objects stand.

import { cut, outline, shift, split } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";
const CORNER_PX = 7;
const STEP = 0.005;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function part(tag, attributes, className) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (className) made.setAttribute("class", className);
  return made;
}

/** Text on the picture, `px` large on the screen. */
function word(text, x, y, scale, className) {
  const made = part("text", { x, y, "font-size": 13 * scale, "stroke-width": 3 * scale }, className);
  made.textContent = text;
  return made;
}

/** A finger on it drags it and does not scroll the page; it may be drawn anew while it is held, so it says so itself. */
function holdable(made) {
  made.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  return made;
}

export class Canvas {
  /** `events.choose(shape)` when one is taken hold of, `events.changed()` when one has changed. */
  constructor(root, events) {
    this.root = root;
    this.events = events;
    this.corner = null;
    this.shapes = part("g", {});
    this.dots = part("g", {});
    root.append(this.dots, this.shapes);
    root.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => { this.held = null; });
  }

  /** Draw all shapes anew, the chosen one with its corners. */
  draw(drawn, chosen, size) {
    this.size = size;
    const focused = document.activeElement && this.shapes.contains(document.activeElement) && document.activeElement.dataset.key;
    this.shapes.replaceChildren(...drawn.filter((shape) => shape !== chosen).flatMap((shape) => this.paint(shape, false)),
      ...(chosen ? this.paint(chosen, true) : []));
    if (focused) {
      const again = [...this.shapes.querySelectorAll("[data-key]")].find((handle) => handle.dataset.key === focused);
      if (again) again.focus();
    }
  }

  /** Frame pixels a pixel of the screen. */
  get scale() {
    return this.size.w / Math.max(1, this.root.clientWidth);
  }

  paint(shape, isChosen) {
    const { w, h } = this.size;
    const pixels = ([x, y]) => [x * w, y * h];
    const corners = outline(shape).map(pixels);
    const path = `M${corners.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}`;
    const className = `shape ${shape.kind}${isChosen ? " chosen" : ""}`;
    const made = [];
    if (shape.kind === "roi") made.push(part("path", { d: `M0,0H${w}V${h}H0Z${path}Z`, "fill-rule": "evenodd" }, "outside"));
    const body = part("path", { d: shape.kind === "line" ? path : `${path}Z` }, className);
    body.addEventListener("pointerdown", (event) => this.take(event, shape, shape.points.map((_, index) => index)));
    made.push(isChosen ? holdable(body) : body);
    if (shape.kind === "line") made.push(this.arrow(corners));
    if (shape.kind !== "roi") {
      const [x, y] = corners.reduce((top, corner) => (corner[1] < top[1] ? corner : top));
      made.push(word(shape.name, Math.min(x, w - 60 * this.scale), Math.max(y - 6 * this.scale, 14 * this.scale), this.scale, "name"));
    }
    if (!isChosen) return made;
    if (shape.kind === "zone" || shape.kind === "mask") {
      made.push(...corners.map((corner, index) => this.middle(shape, index, corner, corners[(index + 1) % corners.length])));
    }
    const focusable = shape.points.map((point, index) => this.handle(shape, index, pixels(point)));
    return [...made, ...focusable];
  }

  arrow([[x1, y1], [x2, y2]]) {
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [ux, uy] = [(x2 - x1) / length * 12 * this.scale, (y2 - y1) / length * 12 * this.scale];
    const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2];
    return part("path", { d: `M${mx - ux - uy},${my - uy + ux}L${mx + ux},${my + uy}L${mx - ux + uy},${my - uy - ux}Z` }, "arrow");
  }

  handle(shape, index, [x, y]) {
    const handle = part("circle", { cx: x, cy: y, r: CORNER_PX * this.scale, tabindex: 0, role: "button" }, "corner");
    const [left, top] = shape.points[index].map((value) => Math.round(100 * value));
    handle.setAttribute("aria-label", `Corner ${index + 1} of ${shape.kind} ${shape.name}, ${left} % from the left, ${top} % from the top`);
    handle.dataset.key = `corner ${index}`;
    handle.addEventListener("pointerdown", (event) => this.take(event, shape, [index]));
    handle.addEventListener("focus", () => { this.corner = { shape, index }; });
    handle.addEventListener("keydown", (event) => this.press(event, shape, index));
    return holdable(handle);
  }

  middle(shape, index, [x1, y1], [x2, y2]) {
    const handle = part("circle", { cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, r: 0.6 * CORNER_PX * this.scale }, "middle");
    handle.addEventListener("pointerdown", (event) => {
      const added = split(shape, index);
      if (added >= 0) this.take(event, shape, [added]);
    });
    return holdable(handle);
  }

  at(event) {
    const frame = this.root.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  }

  take(event, shape, corners) {
    event.preventDefault();
    this.root.setPointerCapture(event.pointerId);
    this.held = { shape, corners, from: this.at(event) };
    if (corners.length === 1) this.corner = { shape, index: corners[0] };
    this.events.choose(shape);
  }

  drag(event) {
    if (!this.held) return;
    const { shape, corners, from } = this.held;
    const to = this.at(event);
    this.move(shape, corners, [to[0] - from[0], to[1] - from[1]]);
    this.held.from = to;
  }

  move(shape, corners, delta) {
    const moved = shift(corners.map((index) => shape.points[index]), delta);
    corners.forEach((index, number) => { shape.points[index] = moved[number]; });
    this.events.changed();
  }

  /** Remove a corner, without a name of one that was last taken hold of. */
  remove({ shape, index } = this.corner || {}) {
    if (shape && index < shape.points.length && cut(shape, index)) this.events.changed();
  }

  press(event, shape, index) {
    const far = event.shiftKey ? 10 : 1;
    if (ARROWS[event.key]) this.move(shape, [index], ARROWS[event.key].map((step) => step * STEP * far));
    else if (event.key === "Delete" || event.key === "Backspace") this.remove({ shape, index });
    else if (event.key === "+" || event.key === "Insert") {
      if (shape.kind === "line" || shape.kind === "roi" || split(shape, index) < 0) return;
      this.events.changed();
    } else return;
    event.preventDefault();
  }

  /** Where objects stand, struck through if they would be left out; `sample` is a part of the frame to show. */
  objects(items, sample, { w, h }) {
    const made = items.flatMap(({ box: [x1, y1, x2, y2], place, why, inside }) => {
      const dot = part("circle", { cx: place[0] * w, cy: place[1] * h, r: 5 * this.scale }, why ? "dot out" : inside ? "dot in" : "dot");
      if (!why) return [dot];
      return [part("path", { d: `M${x1},${y1}H${x2}V${y2}H${x1}ZM${x1},${y1}L${x2},${y2}M${x2},${y1}L${x1},${y2}` }, "struck"), dot];
    });
    for (const share of sample || []) {
      const [width, height] = [Math.sqrt(share) * w, Math.sqrt(share) * h];
      made.push(part("rect", { x: (w - width) / 2, y: (h - height) / 2, width, height }, "sample"));
    }
    this.dots.replaceChildren(...made);
  }
}
