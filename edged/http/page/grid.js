import { base, condition, counted, element, find, poll, showStatus } from "./page.js";

const PERIOD_MS = 1000;
const cards = new Map();

// Only cards that are on the screen ask for pictures.
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.dataset.onScreen = entry.isIntersecting ? "yes" : "";
});

function card(name) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `${encodeURIComponent(name)}/`;
  const picture = document.createElement("img");
  picture.alt = `What ${name} sees, with what was found in it`;
  const [words, status, rate, now] = [element("strong", name), element("span", ""), element("span", ""), element("span", "", "now")];
  link.append(picture, words, " ", status, " ", rate, " ", now);
  item.append(link);
  const made = { item, link, status, rate, now, paused: false };
  // Pictures one by one: browsers open six connections to a place, and streams of seven cameras would take all.
  const look = () => {
    if (cards.get(name) !== made) return;
    if (document.hidden || made.paused || !item.dataset.onScreen) setTimeout(look, PERIOD_MS);
    else picture.src = `${base}${encodeURIComponent(name)}/snapshot.jpg?${Date.now()}`;
  };
  picture.addEventListener("load", () => setTimeout(look, PERIOD_MS));
  picture.addEventListener("error", () => setTimeout(look, 2 * PERIOD_MS));
  cards.set(name, made);
  find("grid").append(item);
  watch.observe(item);
  setTimeout(look);
  return made;
}

function show(overview) {
  showStatus("ok", []);
  find("title").textContent = overview.title;
  const names = new Set(overview.cameras.map((camera) => camera.name));
  for (const [name, made] of cards) {
    if (names.has(name)) continue;
    cards.delete(name);
    watch.unobserve(made.item);
    made.item.remove();
  }
  for (const camera of overview.cameras) {
    const made = cards.get(camera.name) || card(camera.name);
    const word = condition(camera.health);
    made.paused = word === "paused";
    made.status.textContent = word;
    made.status.className = `status ${word}`;
    made.rate.textContent = `${camera.fps.toFixed(1)} frames/s`;
    made.now.textContent = counted(camera.now) || "nothing there";
    made.link.title = camera.health.problems.join("\n");
  }
}

poll("cameras.json", show);
