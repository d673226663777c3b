// EDGED_SCORES and EDGED_AREAS: what an object needs to come into being, by label.

import { element, find } from "./page.js";
import { written } from "./shapes.js";

/** A part of the frame without an exponent, whose dash would be taken for the one of the range. */
const plain = (number) => number.toFixed(6).replace(/\.?0+$/, "");
const short = (number) => Number(number.toPrecision(2));

export class Limits {
  constructor(setup) {
    /** Parts of the frame that are shown on the picture, while they are chosen. */
    this.sample = null;
    this.begin(setup || { scores: {}, areas: {} });
  }

  begin(setup) {
    /** Least score by label, where it has one of its own. */
    this.scores = new Map(Object.entries(setup.scores));
    /** Least and greatest part of the frame by label. */
    this.areas = new Map(Object.entries(setup.areas));
  }

  settings(prefix) {
    const found = new Map();
    const sorted = (map) => [...map].sort(([first], [second]) => (first < second ? -1 : 1));
    if (this.scores.size) found.set(`${prefix}SCORES`, sorted(this.scores).map(([label, score]) => `${label}:${written(score)}`).join(","));
    if (this.areas.size) found.set(`${prefix}AREAS`, sorted(this.areas).map(([label, [least, most]]) => `${label}:${plain(least)}-${plain(most)}`).join(","));
    return found;
  }
}

function slider(text, value, change, { shown, leave }) {
  const field = element("label", text);
  const output = element("output", shown(value));
  const range = document.createElement("input");
  range.type = "range";
  range.min = 0;
  range.max = 1;
  range.step = 0.01;
  range.value = value;
  range.addEventListener("input", () => {
    change(range.valueAsNumber);
    output.textContent = shown(range.valueAsNumber);
  });
  if (leave) for (const end of ["change", "blur"]) range.addEventListener(end, leave);
  field.append(output, range);
  return field;
}

/** Sliders for every label; `changed` when a limit is another, `looked` when a sample goes. */
export function showLimits(limits, labels, setup, changed, looked) {
  // A slider shows a side, not a part: three quarters of the frame and a thousandth are both within reach.
  const area = (side) => side ** 3;
  const percent = (side) => `${plain(short(100 * area(side)))} %`;
  const leave = () => { limits.sample = null; looked(); };
  const open = new Set([...find("limits").querySelectorAll("details[open]")].map((part) => part.dataset.label));
  find("limits").replaceChildren(...labels.filter((label) => label).map((label) => {
    const part = document.createElement("details");
    part.dataset.label = label;
    part.open = open.has(label);
    const [least, most] = limits.areas.get(label) || [0, 1];
    const size = (index) => (side) => {
      const pair = [...(limits.areas.get(label) || [0, 1])];
      pair[index] = Number(plain(short(area(side))));
      if (pair[0] >= pair[1]) pair[1 - index] = index ? 0 : 1;
      if (pair[0] === 0 && pair[1] === 1) limits.areas.delete(label);
      else limits.areas.set(label, pair);
      limits.sample = pair.filter((one) => one > 0 && one < 1);
      changed();
    };
    part.append(
      element("summary", label),
      slider("least score ", limits.scores.get(label) ?? setup.score_threshold, (score) => {
        if (score === setup.score_threshold) limits.scores.delete(label);
        else limits.scores.set(label, score);
        changed();
      }, { shown: (score) => score.toFixed(2) }),
      slider("least part of the frame ", Math.cbrt(least), size(0), { shown: percent, leave }),
      slider("greatest part of the frame ", Math.cbrt(most), size(1), { shown: percent, leave }),
    );
    return part;
  }));
}
