// What was found, drawn by the browser over the camera's own video as edged draws it into its pictures.

import { ask } from "./page.js";

const MARKS_MS = 250;
const KEPT = 40;
const EARLY_S = 0.1;  // what was found may come before its picture: what is nearer in time is nearer in place
const TEXT_PX = 13;
const SVG = "http://www.w3.org/2000/svg";

function part(tag, attributes, className) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (className) made.setAttribute("class", className);
  return made;
}

/** Lines along `places`, each [x, y]; nothing where there are none. */
function lines(places, colour, end = "") {
  return places.length ? [part("path", { d: `M${places.join("L")}${end}`, stroke: colour }, "found")] : [];
}

/** Everything of one object but its way and its tag; `px` is a pixel of the screen in those of the frame. */
function shape({ box: [x1, y1, x2, y2], outline, limbs, points, colour, ink }, px) {
  return [
    part("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, stroke: colour }, "found"),
    ...lines(outline, colour, "Z"),
    ...limbs.flatMap((limb) => lines(limb, colour)),
    ...points.map(([cx, cy]) => part("circle", { cx, cy, r: 3 * px, fill: colour, stroke: ink })),
  ];
}

/** What an object is called, above its box, or inside it where the picture ends. To be placed in the document. */
function tag(svg, mark, px, { w, h }) {
  const text = part("text", { "font-size": TEXT_PX * px, fill: mark.ink });
  const back = part("rect", { fill: mark.colour });
  text.textContent = mark.text;
  svg.append(back, text);
  const [width, height] = [text.getComputedTextLength() + 6 * px, (TEXT_PX + 4) * px];
  const [x1, y1] = mark.box;
  const x = Math.max(0, Math.min(x1 - px, w - width));
  const y = (y1 >= height ? y1 - height : Math.max(0, Math.min(y1, h - height))) + mark.row * height;
  for (const [name, value] of Object.entries({ x, y, width, height })) back.setAttribute(name, value);
  text.setAttribute("x", x + 3 * px);
  text.setAttribute("y", y + height - 5 * px);
}

/** Draw `found` into `svg`, the best score on top; or nothing. */
function draw(svg, found) {
  svg.replaceChildren();
  if (!found) return;
  const { image, marks } = found;
  svg.setAttribute("viewBox", `0 0 ${image.w} ${image.h}`);
  const px = image.w / Math.max(1, svg.clientWidth);
  svg.append(...marks.flatMap(({ way, colour }) => lines(way, colour)));
  for (const mark of marks.toReversed()) {
    svg.append(...shape(mark, px));
    tag(svg, mark, px, image);
  }
}

/** Keeps what was found in `svg`, each when `video` shows the picture in which it was. Gives what ends it. */
export function overlay(video, svg) {
  let [going, known, lag, drawn] = [true, [], null, null];
  const learn = async () => {
    if (!going) return;
    const now = await ask("now.json").catch(() => ({}));
    lag = now.video ? now.video.ts - now.video.at : null;
    if (!now.objects) known = [];
    else if (known.at(-1)?.ts !== now.objects.ts) known = [...known, now.objects].slice(-KEPT);
    setTimeout(learn, MARKS_MS);
  };
  const show = () => {
    if (!going) return;
    const shown = known.filter((one) => lag !== null && one.ts <= lag + video.currentTime + EARLY_S).at(-1);
    if (shown !== drawn) draw(svg, shown);
    drawn = shown;
    requestAnimationFrame(show);
  };
  learn();
  show();
  return () => {
    going = false;
    draw(svg);
  };
}
