"use strict";

// An address without the name and password that may stand in the page's own: fetch() refuses those.
const base = location.origin + location.pathname.replace(/[^/]*$/, "");
const PERIOD_MS = 1000;
const grid = document.getElementById("grid");
const problems = document.getElementById("problems");
const cards = new Map();

function card(name) {
  const link = document.createElement("a");
  link.href = `${encodeURIComponent(name)}/`;
  const picture = document.createElement("img");
  picture.alt = `What ${name} sees, with what was found in it`;
  const words = document.createElement("span");
  const status = document.createElement("span");
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
  grid.append(link);
  look();
  return made;
}

function show(overview) {
  const names = new Set(overview.cameras.map((camera) => camera.name));
  for (const [name, made] of cards) {
    if (names.has(name)) continue;
    cards.delete(name);
    made.link.remove();
  }
  for (const camera of overview.cameras) {
    const { words, status, link } = cards.get(camera.name) || card(camera.name);
    words.textContent = `${camera.name}: ${camera.fps.toFixed(1)} frames/s`;
    status.textContent = camera.health.status;
    status.className = `status ${camera.health.status}`;
    link.title = camera.health.problems.join("\n");
  }
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch(`${base}cameras.json`, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
      show(await answer.json());
      problems.hidden = true;
    } catch (error) {
      problems.hidden = false;
      problems.textContent = `edged does not answer: ${error.message}`;
    }
  }
  setTimeout(poll, PERIOD_MS);
}

poll();
