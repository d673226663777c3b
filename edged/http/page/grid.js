import { base, condition, element, find, poll, showStatus } from "./page.js";

const PERIOD_MS = 1000;
const cards = new Map();

function card(name) {
  const link = document.createElement("a");
  link.href = `${encodeURIComponent(name)}/`;
  const picture = document.createElement("img");
  picture.alt = `What ${name} sees, with what was found in it`;
  const words = element("span", "");
  const status = element("span", "");
  link.append(picture, words, " ", status);
  // Pictures one by one: browsers open six connections to a place, and streams of seven cameras would take all.
  const look = () => {
    if (cards.get(name) !== made) return;
    if (document.hidden) setTimeout(look, PERIOD_MS);
    else picture.src = `${base}${encodeURIComponent(name)}/snapshot.jpg?${Date.now()}`;
  };
  const made = { link, words, status };
  picture.addEventListener("load", () => setTimeout(look, PERIOD_MS));
  picture.addEventListener("error", () => setTimeout(look, 2 * PERIOD_MS));
  cards.set(name, made);
  find("grid").append(link);
  look();
  return made;
}

function show(overview) {
  showStatus("ok", []);
  const names = new Set(overview.cameras.map((camera) => camera.name));
  for (const [name, made] of cards) {
    if (names.has(name)) continue;
    cards.delete(name);
    made.link.remove();
  }
  for (const camera of overview.cameras) {
    const { words, status, link } = cards.get(camera.name) || card(camera.name);
    words.textContent = `${camera.name}: ${camera.fps.toFixed(1)} frames/s`;
    const word = condition(camera.health);
    status.textContent = word;
    status.className = `status ${word}`;
    link.title = camera.health.problems.join("\n");
  }
}

poll("cameras.json", show);
