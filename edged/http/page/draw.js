import { ask, element, find, poll, stream } from "./page.js";
import { Limits, showLimits } from "./limits.js";
import { Canvas } from "./canvas.js";
import * as shapes from "./shapes.js";

const PERIOD_MS = 400;
const KINDS = { zone: "Zone", line: "Line", mask: "Mask", roi: "Region" };
const BEGINNINGS = {
  zone: [[0.3, 0.4], [0.7, 0.4], [0.7, 0.9], [0.3, 0.9]],
  line: [[0.2, 0.6], [0.8, 0.6]],
  mask: [[0, 0], [1, 0], [1, 0.25], [0, 0.25]],
  roi: [[0.1, 0.1], [0.9, 0.9]],
};

const drawn = [];
const limits = new Limits();
const seen = new Set();
let setup = null;
let before = new Map();
let size = null;
let live = null;
let chosen = null;
let inUse = "";

const canvas = new Canvas(find("canvas"), { choose, changed });

function freeName(kind) {
  for (let number = 1; ; number += 1) {
    if (!drawn.some((shape) => shape.kind === kind && shape.name === `${kind}${number}`)) return `${kind}${number}`;
  }
}

function add(kind) {
  const present = kind === "roi" && drawn.find((shape) => shape.kind === "roi");
  const shape = present || { kind, name: freeName(kind), points: BEGINNINGS[kind].map((point) => [...point]), labels: [], dwell: 0, since: new Map() };
  if (!present) drawn.push(shape);
  choose(shape);
  changed();
  (kind === "roi" ? find("remove") : find("name")).focus();
}

function choose(shape) {
  chosen = shape;
  canvas.draw(drawn, chosen, size);
  showChosen();
  showShapes();
}

/** Everything that hangs on what is drawn and on the limits. */
function changed() {
  canvas.draw(drawn, chosen, size);
  showShapes();
  showObjects();
  showLines();
}

/** Settings by name, of shapes and limits. */
function settings(shown, wanted) {
  const found = new Map();
  for (const shape of shown) {
    const { name: key, value } = shapes.setting(shape, setup.prefix, size);
    found.set(key, value);
  }
  for (const [key, value] of wanted.settings(setup.prefix)) found.set(key, value);
  return found;
}

/** What the settings in force would draw. */
function inForce() {
  const found = [];
  for (const kind of ["zone", "line", "mask"]) {
    for (const area of setup[kind]) {
      found.push({ kind, name: area.name, points: area.points, labels: area.labels, dwell: area.dwell || 0, since: new Map() });
    }
  }
  if (setup.roi) found.push({ kind: "roi", name: "", points: shapes.regionPoints(setup.roi, size), labels: [], dwell: 0, since: new Map() });
  return found;
}

function problems() {
  const found = [];
  const names = new Set();
  for (const shape of drawn) {
    const key = `${shape.kind} ${shape.name}`;
    if (shape.kind !== "roi" && !shape.name) found.push(`A ${shape.kind} has no name.`);
    else if (names.has(key)) found.push(`There are two of the name ${key}.`);
    names.add(key);
  }
  return found;
}

function showLines() {
  if (!setup || !size) return;
  const wrong = problems();
  const { lines, gone } = wrong.length ? { lines: [], gone: [] } : shapes.changes(settings(drawn, limits), before);
  const nothing = !lines.length && !gone.length;
  find("nothing").hidden = !nothing;
  find("nothing").textContent = wrong.join(" ") || "Nothing is changed yet.";
  find("then").hidden = nothing;
  find("copied").textContent = "";
  for (const id of ["lines", "copy"]) find(id).hidden = !lines.length;
  find("lines").textContent = lines.map((line) => `${line.name}=${line.value}\n`).join("");
  const several = setup.prefix !== setup.shared;
  const shared = (key) => key.replace(setup.prefix, setup.shared);
  find("replaced").replaceChildren(
    ...lines.map(({ name: key, instead }) => element("li", instead === undefined
      ? `${key} is new.`
      : `${key} goes in the place of ${key}=${instead}${several ? `; if that is written as ${shared(key)} it holds for all cameras and may stay, for the camera's own comes first` : ""}.`)),
    ...gone.map(({ name: key, value }) => element("li",
      `Take out ${key}=${value}${several ? `, or ${shared(key)} if it is written so: then for all cameras` : ""}.`)),
  );
}

function showShapes() {
  find("shapes").replaceChildren(...drawn.map((shape) => {
    const line = document.createElement("li");
    const button = element("button", KINDS[shape.kind] + (shape.kind === "roi" ? "" : ` ${shape.name}`));
    button.type = "button";
    button.setAttribute("aria-pressed", String(shape === chosen));
    button.addEventListener("click", () => choose(shape));
    shape.count = element("span", "");
    line.append(button, shape.count);
    return line;
  }));
  showCounts();
}

/** How many count in each zone now, are left out by a mask, have crossed a line. */
function showCounts() {
  if (!live || !live.objects) return;
  const now = Date.now() / 1000;
  const good = live.objects.items.filter((object) => !shapes.leftOut(object, size, drawn, limits));
  for (const shape of drawn) {
    if (!shape.count) continue;
    if (shape.kind === "zone") {
      const labels = new Map();
      for (const { label } of shapes.counted(shape, good, size, shape.since, now)) labels.set(label, (labels.get(label) || 0) + 1);
      shape.count.textContent = [...labels].map(([label, count]) => `${count} ${label || "object"}`).join(", ") || "nobody";
    } else if (shape.kind === "line") {
      const totals = live.presence && live.presence.lines[shape.name];
      shape.count.textContent = totals ? `${totals.in} in, ${totals.out} out` : "counts from the reload on";
    } else {
      const left = live.objects.items.filter((object) => shapes.leftOut(object, size, [shape], { scores: new Map(), areas: new Map() }));
      shape.count.textContent = `leaves out ${left.length} now`;
    }
  }
}

function showObjects() {
  if (!live || !live.objects || !setup) return;
  const items = live.objects.items.map((object) => ({
    ...object,
    why: shapes.leftOut(object, size, drawn, limits),
    place: shapes.place(object.box, size),
    inside: drawn.some((shape) => shape.kind === "zone" && shapes.concerns(shape, object.label)
      && shapes.inside(shapes.place(object.box, size), shape.points)),
  }));
  canvas.objects(items, limits.sample, size);
  const out = items.filter((item) => item.why);
  find("left-out").textContent = out.length
    ? `Left out now: ${out.map((item) => `${item.label || "object"} (${item.why})`).join(", ")}.`
    : "";
  showCounts();
}

function showChosen() {
  find("chosen").hidden = !chosen;
  if (!chosen) return;
  find("chosen-kind").textContent = KINDS[chosen.kind];
  find("name").value = chosen.name;
  find("dwell").value = chosen.dwell;
  find("name-field").hidden = find("labels-field").hidden = chosen.kind === "roi";
  find("dwell-field").hidden = chosen.kind !== "zone";
  find("line-help").hidden = chosen.kind !== "line";
  find("remove-corner").hidden = chosen.kind === "line" || chosen.kind === "roi";
  find("labels").replaceChildren(...[...new Set([...seen, ...chosen.labels])].sort().map((label) => {
    const choice = element("label", "");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = chosen.labels.includes(label);
    box.addEventListener("change", () => {
      chosen.labels = box.checked ? [...chosen.labels, label] : chosen.labels.filter((one) => one !== label);
      changed();
    });
    choice.append(box, ` ${label}`);
    return choice;
  }));
}

function learn(labels) {
  const fresh = labels.filter((label) => !seen.has(label) && shapes.writable(label));
  if (!fresh.length) return;
  for (const label of fresh) seen.add(label);
  showChosen();
  showLimits(limits, [...seen].sort(), setup, changed, showObjects);
}

/** From now on lines are told against the settings in force. */
function compare() {
  before = settings(inForce(), new Limits(setup));
  find("untracked").hidden = setup.tracks;
}

/** Settings that are read again change what the lines stand for; what is drawn stays. */
async function follow(hash) {
  const known = inUse;
  inUse = hash;
  if (!known || known === hash) return;
  setup = await ask("setup.json");
  compare();
  showLines();
}

function start(found) {
  const objects = found.objects;
  size = objects.image;
  find("canvas").parentElement.style.setProperty("--aspect", size.w / size.h);
  find("canvas").setAttribute("viewBox", `0 0 ${size.w} ${size.h}`);
  drawn.push(...inForce());
  limits.begin(setup);
  compare();
  learn([...setup.labels, ...Object.keys(setup.scores), ...Object.keys(setup.areas), ...drawn.flatMap((shape) => shape.labels)]);
  changed();
}

function show(found) {
  find("problems").hidden = true;
  find("title").textContent = found.title;
  document.title = `Draw – ${found.title} – edged`;
  if (!found.objects) return;
  live = found;
  if (!size) start(found);
  if (found.state) follow(found.state.config_hash).catch(() => { inUse = ""; });
  learn(found.objects.items.map((object) => object.label));
  showObjects();
}

async function copy() {
  const text = find("lines").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that does not come by https or from this machine has no clipboard: the older way, by what is selected.
    getSelection().selectAllChildren(find("lines"));
    document.execCommand("copy");
  }
  find("copied").textContent = "Copied.";
}

function addLabel() {
  const label = find("label").value.trim();
  if (!shapes.writable(label) || !chosen) return;
  find("label").value = "";
  if (!chosen.labels.includes(label)) chosen.labels.push(label);
  learn([label]);
  showChosen();
  changed();
}

for (const kind of Object.keys(KINDS)) find(`add-${kind}`).addEventListener("click", () => { if (size) add(kind); });
find("name").addEventListener("input", () => {
  chosen.name = shapes.settingName(find("name").value).toLowerCase();
  changed();
});
find("name").addEventListener("change", () => { find("name").value = chosen.name; });
find("dwell").addEventListener("input", () => {
  chosen.dwell = Math.min(86400, Math.max(0, find("dwell").valueAsNumber || 0));
  changed();
});
find("add-label").addEventListener("click", addLabel);
find("label").addEventListener("keydown", (event) => { if (event.key === "Enter") addLabel(); });
find("turn").addEventListener("click", () => { chosen.points.reverse(); changed(); });
find("remove").addEventListener("click", () => {
  drawn.splice(drawn.indexOf(chosen), 1);
  choose(null);
  changed();
});
find("remove-corner").addEventListener("click", () => canvas.remove());
find("copy").addEventListener("click", copy);
addEventListener("resize", () => { if (size) canvas.draw(drawn, chosen, size); });

async function begin() {
  try {
    setup = await ask("setup.json");
  } catch {
    setTimeout(begin, PERIOD_MS);
    return;
  }
  stream(find("picture"));
  poll("live.json", show, PERIOD_MS);
}

begin();
