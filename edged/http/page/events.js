import { ask, base, clock, element, find, named, poll, showStatus } from "./page.js";

const PERIOD_MS = 2000;
const MOST = 300;
const SLOT_S = 900;
const SLOTS = 96;
const BEFORE_S = 1;
const filters = ["camera", "label", "zone"];
const known = new Map();
let bars = [];
let began = null;
let after = 0;
let recorded = {};
let slot = null;

const wanted = () => Object.fromEntries(filters.map((name) => [name, find(name).value]));

function fits(event, { camera, label, zone }) {
  return (!camera || event.camera === camera) && (!label || event.label === label)
    && (!zone || event.entered_zones.includes(zone))
    && (slot === null || Math.floor(event.start_time / SLOT_S) * SLOT_S === slot);
}

function lasted(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function sentence(event) {
  const words = [event.end_time === null ? `here for ${lasted(event.duration_s)}` : `${lasted(event.duration_s)}`];
  for (const zone of event.entered_zones) words.push(`${zone} ${lasted(event.dwell_s[zone] || 0)}`);
  for (const { line, direction } of event.lines) words.push(`${line} ${direction}`);
  return words.join(" · ");
}

function line(event) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  if (event.picture) {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.loading = "lazy";
    // A better picture is another one: its score is in the address.
    picture.src = `${base}${event.below}events/${event.event_id}.jpg?${event.top_score}`;
    button.append(picture);
  }
  const where = event.camera && Object.keys(recorded).length > 1 ? `${event.camera}: ` : "";
  button.append(
    element("strong", `${where}${named(event)}`),
    element("span", new Date(event.start_time * 1000).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" })),
    element("small", sentence(event)),
  );
  button.disabled = !recorded[event.camera];
  button.addEventListener("click", () => play(event));
  item.append(button);
  return item;
}

async function play(event) {
  const player = find("player");
  player.hidden = false;
  player.scrollIntoView({ block: "nearest" });
  find("playing").textContent = `${named(event)} at ${clock(event.start_time)}`;
  const video = find("video");
  try {
    const moment = await ask(`${event.below}moment.json?at=${event.start_time}`);
    if (!moment.video) throw new Error("there is none");
    video.src = base + event.below + moment.video;
    video.addEventListener("loadedmetadata", () => {
      video.currentTime = Math.max(0, moment.after_s - BEFORE_S);
      video.play().catch(() => {});
    }, { once: true });
  } catch {
    stop();
    player.hidden = false;
    find("playing").textContent = `There is no video of ${clock(event.start_time)}: it was not recorded, is not stored yet, or was deleted for newer ones.`;
  }
}

function stop() {
  find("player").hidden = true;
  find("video").removeAttribute("src");
  find("video").load();
}

function showDay() {
  const { camera, label, zone } = wanted();
  const last = Math.floor(Date.now() / 1000 / SLOT_S) * SLOT_S;
  const counts = new Map();
  for (const [of, at, which, where, count] of bars) {
    if ((camera && of !== camera) || (label && which !== label) || where !== zone) continue;
    counts.set(at, (counts.get(at) || 0) + count);
  }
  const most = Math.max(1, ...counts.values());
  find("day").replaceChildren(...Array.from({ length: SLOTS }, (_, index) => {
    const at = last - (SLOTS - 1 - index) * SLOT_S;
    const count = counts.get(at) || 0;
    const bar = document.createElement(count ? "button" : "span");
    if (!count) return bar;
    bar.type = "button";
    bar.style.setProperty("--share", count / most);
    bar.title = `${clock(at)}: ${count}`;
    bar.setAttribute("aria-label", `${count} from ${clock(at)}`);
    bar.setAttribute("aria-pressed", String(slot === at));
    bar.addEventListener("click", () => {
      slot = slot === at ? null : at;
      show();
    });
    return bar;
  }));
  find("day-begins").textContent = new Date((last - (SLOTS - 1) * SLOT_S) * 1000).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });
  find("slot").textContent = slot === null ? "" : `only those from ${clock(slot)} on; press the bar again for all`;
}

function choices(name, values) {
  const select = find(name);
  const present = [...select.options].map((option) => option.value);
  const next = ["", ...[...values].sort()];
  if (present.length === next.length && present.every((value, index) => value === next[index])) return;
  const chosen = select.value;
  select.replaceChildren(...next.map((value) => new Option(value || "all", value)));
  select.value = next.includes(chosen) ? chosen : "";
}

function show() {
  const events = [...known.values()];
  choices("camera", new Set(Object.keys(recorded)));
  choices("label", new Set(bars.map(([, , label]) => label)));
  choices("zone", new Set(bars.map(([, , , zone]) => zone).filter((zone) => zone)));
  find("camera-field").hidden = Object.keys(recorded).length < 2;
  showDay();
  const chosen = wanted();
  const shown = events.filter((event) => fits(event, chosen)).sort((first, second) => second.start_time - first.start_time);
  find("nothing").hidden = shown.length > 0;
  find("nothing").textContent = events.length ? "None of the newest events is such a one." : "No events yet. They need EDGED_TRACK=true, the default.";
  const focused = [...find("events").children].findIndex((item) => item.contains(document.activeElement));
  find("events").replaceChildren(...shown.slice(0, MOST).map(line));
  if (focused >= 0 && find("events").children[focused]) find("events").children[focused].firstChild.focus();
}

function take(answer) {
  showStatus("ok", []);
  if (began !== null && answer.began !== began) {
    known.clear();
    after = 0;
    began = answer.began;
    return;
  }
  began = answer.began;
  after = answer.now;
  const fresh = !known.size || JSON.stringify(recorded) !== JSON.stringify(answer.recorded);
  recorded = answer.recorded;
  if (answer.bars) bars = answer.bars;
  for (const event of answer.events) {
    known.delete(event.event_id);
    known.set(event.event_id, event);
  }
  while (known.size > MOST * Math.max(1, Object.keys(recorded).length)) known.delete(known.keys().next().value);
  if (fresh || answer.events.length) show();
}

find("title").textContent = "Events";
document.title = "Events – edged";
for (const name of filters) find(name).addEventListener("change", show);
find("close").addEventListener("click", stop);
poll(() => `events.json?after=${after}`, take, PERIOD_MS);
