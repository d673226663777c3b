// What was found, drawn by the browser over the camera's own video as edged draws it into its pictures.

import { ask } from "./page.js";

const MARKS_MS = 250;
const KEPT = 40;
const ROUNDED_S = 0.005;
const LATES = 12;
const SLACK_S = 0.1;
const MOST_HELD_S = 1.5;
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

/** Seconds of video that have come and are not shown yet. */
function ahead(video) {
  const { buffered } = video;
  return buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : 0;
}

/** Have `video` play a little slower or faster until it is so many seconds behind what has come. */
function hold(video, behind_s) {
  const more = behind_s - ahead(video);
  const rate = more > 3 * SLACK_S ? 0.75 : more > SLACK_S ? 0.9 : more < -2 * SLACK_S ? 1.1 : 1;
  if (video.playbackRate !== rate) video.playbackRate = rate;
}

/**
 * Keeps what was found in `svg`, each when `video` shows the picture in which it was. Gives what ends it.
 * `aim.behind_s`, how far behind what has come the video is to be, becomes what it takes for what is found in the
 * newest picture to be there when that is shown.
 */
export function overlay(video, svg, aim) {
  let [going, known, lates, drawn] = [true, [], [], null];
  const learn = async () => {
    if (!going) return;
    const { objects } = await ask("now.json").catch(() => ({}));
    if (!objects) known = [];
    else if (objects.at !== null && known.at(-1)?.ts !== objects.ts) {
      known = [...known, objects].slice(-KEPT);
      // Seconds by which it was late, the last few times.
      lates = [...lates, video.currentTime + ahead(video) - objects.at].slice(-LATES);
      aim.behind_s = Math.min(MOST_HELD_S, Math.max(...lates) + SLACK_S);
    }
    setTimeout(learn, MARKS_MS);
  };
  const show = () => {
    if (!going) return;
    if (lates.length) hold(video, aim.behind_s);
    const shown = known.filter((one) => one.at <= video.currentTime + ROUNDED_S).at(-1);
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
