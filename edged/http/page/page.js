// What all pages share.

// An address without the name and password that may stand in the page's own: fetch() refuses those.
export const base = location.origin + location.pathname.replace(/[^/]*$/, "");
const PERIOD_MS = 1000;

export const find = (id) => document.getElementById(id);

export function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function row(tag, cells) {
  const line = document.createElement(tag);
  for (const cell of cells) {
    line.append(cell instanceof Node ? cell : element(tag === "tr" ? "td" : "span", cell));
  }
  return line;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString();
}

/** Show a status in one word, with what is wrong in sentences. */
export function showStatus(status, problems) {
  if (find("status")) {
    find("status").textContent = status;
    find("status").className = `status ${status}`;
  }
  find("problems").hidden = !problems.length;
  find("problems").textContent = problems.join("\n");
}

export async function ask(path) {
  const answer = await fetch(base + path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  return answer.json();
}

/** Ask for `path`, or what it gives, again and again while the page can be seen, and hand on what comes. */
export async function poll(path, show, period_ms = PERIOD_MS) {
  if (!document.hidden) {
    try {
      show(await ask(typeof path === "function" ? path() : path));
    } catch (error) {
      showStatus("lost", [`edged does not answer: ${error.message}`]);
    }
  }
  setTimeout(() => poll(path, show, period_ms), period_ms);
}

/**
 * Keep the live picture in `image` going; while the page cannot be seen, edged need not draw for it.
 * Gives what ends it for a while: there are no pictures of a camera that is paused.
 */
export function stream(image) {
  let going = true;
  const look = () => {
    if (document.hidden || !going) image.removeAttribute("src");
    else image.src = `${base}stream.mjpg?${Date.now()}`;
  };
  image.addEventListener("error", () => { if (!document.hidden && going) setTimeout(look, 2 * PERIOD_MS); });
  document.addEventListener("visibilitychange", look);
  // A page counts as loaded when its pictures are, and a camera that is away gives none.
  if (document.readyState === "complete") look();
  else addEventListener("load", look, { once: true });
  return (wanted) => {
    if (wanted === going) return;
    going = wanted;
    image.hidden = !going;
    look();
  };
}

/** What something is called, with what EDGED_CLASSIFY's model says of it. */
export function named(object) {
  const label = object.label || "object";
  return object.sub_label ? `${label} (${object.sub_label})` : label;
}

/** How many of what, by label, in words. */
export function counted(counts) {
  return Object.entries(counts).map(([label, count]) => `${count} ${label || "object"}`).join(", ");
}

/** The word for how a camera is. */
export function condition(health) {
  return health.lifecycle === "paused" ? "paused" : health.status;
}
