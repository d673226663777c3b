// The camera's own video, as it came: put together by the browser, with what was found drawn over it.

import { overlay } from "./overlay.js";
import { base, find } from "./page.js";

const Source = window.ManagedMediaSource || window.MediaSource;
const MOST_BEHIND_S = 2;
const BEHIND_S = 0.4;
const AGAIN_MS = 3000;
const LATER_MS = 60000;
const AT_ONCE_MS = 50;  // or the keyframe comes just then
const WHY = {
  202: "The camera's own video begins with its next keyframe, which has not come for a while: these are pictures until then. "
    + "A shorter keyframe interval (I-frame interval, GOP) in the camera's settings shows it sooner.",
  204: "These are pictures: the camera's own video is no H.264, which is what browsers play.",
  503: "These are pictures: too many watch the cameras' own video now.",
};
const CHOICE = "edged-picture";

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

/** Keep close to what is happening now, over what a slow connection has lost, too; no closer than boxes come. */
function keepUp(video, buffered, { behind_s }) {
  if (!buffered.length) return;
  const [start, end] = [buffered.start(buffered.length - 1), buffered.end(buffered.length - 1)];
  if (video.currentTime < start || end - video.currentTime > MOST_BEHIND_S) {
    video.currentTime = Math.max(start, end - Math.max(BEHIND_S, behind_s));
  }
}

/**
 * Play what comes until it ends. Gives after how many ms to try again, 0 if this browser cannot play it, and why
 * there is no video meanwhile. What has been played the browser throws away itself. `aim` as for overlay().
 */
async function play(video, signal, aim) {
  const answer = await fetch(`${base}stream.mp4`, { cache: "no-store", signal });
  const type = answer.headers.get("Content-Type");
  if (answer.status !== 200) return [answer.status === 202 ? AT_ONCE_MS : LATER_MS, WHY[answer.status] || ""];
  if (!Source.isTypeSupported(type)) {
    await answer.body.cancel();
    return [0, `These are pictures: this browser does not play the camera's own video (${type}).`];
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
      if (done) return [AGAIN_MS, ""];
      buffer.appendBuffer(value);
      await event(buffer, "updateend");
      if (video.error) throw video.error;
      keepUp(video, buffer.buffered, aim);
    }
  } finally {
    URL.revokeObjectURL(url);
    if (video.src === url) {  // else the next has begun meanwhile
      video.removeAttribute("src");
      video.load();
    }
  }
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
  let why = Source ? "" : "These are pictures: this browser has no Media Source Extensions, which the camera's own video needs.";

  const show = () => {
    stage.hidden = !playing;
    pictures(there && !playing);
    find("why").hidden = !(why && there && offered && chosen && !playing);
    if (find("why").textContent !== why) find("why").textContent = why;
    // Who chose the pictures, perhaps another day, must find the way back.
    find("choice").hidden = !(there && offered && playable && (played || !chosen));
    choices.forEach((button, number) => button.setAttribute("aria-pressed", String(chosen === !number)));
  };
  const run = async (session) => {
    const aim = { behind_s: BEHIND_S };
    let undraw = () => {};
    video.addEventListener("playing", () => {
      stage.style.setProperty("--aspect", video.videoWidth / video.videoHeight);
      if (!playing) undraw = overlay(video, svg, aim);
      [playing, played, why] = [true, true, ""];
      show();
    }, { signal: session.signal });
    let [again_ms, reason] = [AGAIN_MS, ""];
    try {
      [again_ms, reason] = await play(video, session.signal, aim);
    } catch (error) {
      // No trouble of the network, but of the browser: one damaged picture, where it has played before.
      if (!(error instanceof TypeError)) again_ms = played ? LATER_MS : 0;
    }
    undraw();
    if (running !== session) return;
    session.abort();
    [playable, playing, why] = [again_ms > 0, false, reason];
    show();
    setTimeout(() => {
      if (running !== session) return;
      running = null;
      heed();
    }, again_ms);
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
