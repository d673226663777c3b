// The camera's own video, as it came: put together by the browser, with what was found drawn over it.

import { ask, base, find, named } from "./page.js";

const Source = window.ManagedMediaSource || window.MediaSource;
const MOST_BEHIND_S = 2;
const BEHIND_S = 0.4;
const AGAIN_MS = 3000;
const LATER_MS = 60000;
const BOXES_MS = 250;
const KEPT_BOXES = 40;
const EARLY_S = 0.1;  // a box may come before its picture: what is nearer in time is nearer in place
const CHOICE = "edged-picture";
const SVG = "http://www.w3.org/2000/svg";

const event = (target, name) => new Promise((done) => target.addEventListener(name, done, { once: true }));

/** What the viewer chose last, if the browser keeps anything of pages. */
function remembered() {
  try {
    return localStorage.getItem(CHOICE);
  } catch {
    return null;
  }
}

function remember(choice) {
  try {
    localStorage.setItem(CHOICE, choice);
  } catch {
    // Then it holds until the page is left.
  }
}

/** Keep close to what is happening now, over what a slow connection has lost, too. */
function keepUp(video, buffered) {
  if (!buffered.length) return;
  const [start, end] = [buffered.start(buffered.length - 1), buffered.end(buffered.length - 1)];
  if (video.currentTime < start || end - video.currentTime > MOST_BEHIND_S) {
    video.currentTime = Math.max(start, end - BEHIND_S);
  }
}

/**
 * Play what comes until it ends, and give after how many ms to try again, 0 if this browser cannot play it.
 * What has been played the browser throws away itself.
 */
async function play(video, signal) {
  const answer = await fetch(`${base}stream.mp4`, { cache: "no-store", signal });
  const type = answer.headers.get("Content-Type");
  if (answer.status !== 200) return LATER_MS;  // there is none, or there is none now
  if (!Source.isTypeSupported(type)) {
    await answer.body.cancel();
    return 0;
  }
  const media = new Source();
  const url = URL.createObjectURL(media);
  video.disableRemotePlayback = true;
  video.src = url;
  try {
    await event(media, "sourceopen");
    const buffer = media.addSourceBuffer(type);
    const reader = answer.body.getReader();
    video.play().catch(() => {});
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return AGAIN_MS;
      buffer.appendBuffer(value);
      await event(buffer, "updateend");
      if (video.error) throw video.error;
      keepUp(video, buffer.buffered);
    }
  } finally {
    URL.revokeObjectURL(url);
    video.removeAttribute("src");
    video.load();
  }
}

/** Draw boxes with what they are called into `svg`, or nothing. */
function draw(svg, objects) {
  if (!objects) return svg.replaceChildren();
  const { w, h } = objects.image;
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  return svg.replaceChildren(...objects.items.flatMap((item) => {
    const [x1, y1, x2, y2] = item.box;
    const box = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "found" })) {
      box.setAttribute(name, value);
    }
    const text = document.createElementNS(SVG, "text");
    const size = Math.min(w, h) / 24;
    for (const [name, value] of Object.entries({ x: x1, y: Math.max(size, y1 - size / 3), "font-size": size, class: "name" })) {
      text.setAttribute(name, value);
    }
    text.textContent = `${named(item)} ${item.score.toFixed(2)}`;
    return [box, text];
  }));
}

/** Boxes of what was found, each when the video shows the picture in which it was found. Gives what ends it. */
function overlay(video, svg) {
  let [going, known, lag, drawn] = [true, [], null, null];
  const learn = async () => {
    if (!going) return;
    const now = await ask("now.json").catch(() => ({}));
    lag = now.video ? now.video.ts - now.video.at : null;
    if (!now.objects) known = [];
    else if (known.at(-1)?.ts !== now.objects.ts) known = [...known, now.objects].slice(-KEPT_BOXES);
    setTimeout(learn, BOXES_MS);
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

/**
 * Show the camera's own video in place of the pictures that were looked at, where it has some that this browser
 * plays and the viewer has not chosen otherwise. `pictures` is told whether those are wanted meanwhile.
 * Gives what is to be told, again and again, whether there is anything to see, and whether there may be video.
 */
export function ownVideo(pictures) {
  const [stage, video, svg] = [find("own"), find("video"), find("found")];
  const choices = [find("choose-video"), find("choose-pictures")];
  let [there, offered, playable] = [true, false, Boolean(Source)];
  let chosen = remembered() !== "pictures";
  let [running, playing, played] = [null, false, false];

  const show = () => {
    stage.hidden = !playing;
    pictures(there && !playing);
    // Who chose the pictures, perhaps another day, must find the way back.
    find("choice").hidden = !(there && offered && playable && (played || !chosen));
    choices.forEach((button, number) => button.setAttribute("aria-pressed", String(chosen === !number)));
  };
  const run = async (session) => {
    let boxes = () => {};
    video.addEventListener("playing", () => {
      stage.style.setProperty("--aspect", video.videoWidth / video.videoHeight);
      if (!playing) boxes = overlay(video, svg);
      playing = played = true;
      show();
    }, { signal: session.signal });
    let again_ms = AGAIN_MS;
    try {
      again_ms = await play(video, session.signal);
    } catch (error) {
      // No trouble of the network, but of the browser: one damaged picture, where it has played before.
      if (!(error instanceof TypeError)) again_ms = played ? LATER_MS : 0;
    }
    boxes();
    if (running !== session) return;
    session.abort();
    playable = again_ms > 0;
    playing = false;
    show();
    setTimeout(() => { if (running === session) running = null; }, again_ms);
  };
  const heed = () => {
    const wanted = there && offered && playable && chosen && !document.hidden;
    if (wanted && !running) run(running = new AbortController());
    if (!wanted && running) {
      running.abort();
      running = null;
      playing = false;
    }
    show();
  };
  choices.forEach((button, number) => button.addEventListener("click", () => {
    chosen = !number;
    remember(chosen ? "video" : "pictures");
    heed();
  }));
  document.addEventListener("visibilitychange", heed);
  return (now_there, now_offered) => {
    [there, offered] = [now_there, now_offered];
    heed();
  };
}
