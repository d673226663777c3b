// A figure over time as a small chart: SVG, without a library.

import { clock, element } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 60];
const GAP = 4;

/** Lines over `ts`, broken where a figure is missing or edged was silent for longer than some intervals. */
function path(ts, values, most) {
  const [first, last] = [ts[0], ts[ts.length - 1]];
  const pause = GAP * (last - first) / Math.max(1, ts.length - 1);
  let text = "";
  let before = null;
  values.forEach((value, index) => {
    if (value === null) {
      before = null;
      return;
    }
    const x = last > first ? WIDTH * (ts[index] - first) / (last - first) : WIDTH;
    const y = HEIGHT - 2 - (HEIGHT - 4) * value / most;
    const joined = before !== null && ts[index] - before <= pause;
    text += `${joined ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}${joined ? "" : "h0"}`;
    before = ts[index];
  });
  return text;
}

/** `lines` are arrays beside `ts`; the first is the main one and stands in the words. */
export function chart(title, unit, ts, lines) {
  const shown = (value) => `${value.toFixed(value < 10 ? 1 : 0)}${unit}`;
  const values = lines.flat().filter((value) => value !== null);
  const main = lines[0].filter((value) => value !== null);
  const most = Math.max(1e-6, ...values);
  const now = main.length ? shown(main[main.length - 1]) : "–";
  const range = main.length ? `${shown(Math.min(...main))} to ${shown(Math.max(...main))}` : "";
  const picture = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" })) {
    picture.setAttribute(key, value);
  }
  picture.setAttribute("aria-label", `${title} since ${clock(ts[0])}: ${now} now, ${range}`);
  lines.forEach((line, number) => {
    const drawn = document.createElementNS(SVG, "path");
    drawn.setAttribute("d", path(ts, line, most));
    drawn.setAttribute("class", number ? "second" : "first");
    picture.append(drawn);
  });
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.append(element("span", title), element("strong", now), element("small", range));
  figure.append(caption, picture);
  return figure;
}
