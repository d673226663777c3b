import { chart } from "./chart.js";
import { clock, element, find, poll, row, showStatus } from "./page.js";
import { CAUSES, SENSORS, fate, hints, ordered } from "./words.js";

const PERIOD_MS = 2000;
const HISTORY_MS = 10000;
const CHARTED = { memory_rss_mb: ["memory of edged", " MB"], memory_used_percent: ["memory in use", " %"], cpu_temperature_c: ["processor", " °C"], tpu_temperature_c: ["Edge TPU", " °C"] };

const lines = (id, pairs) => find(id).replaceChildren(...pairs.map((cells) => row("tr", cells.map(String))));

function showTroubles(live) {
  const { status, problems, lifecycle } = live.health;
  const found = [...problems, ...hints(live.report)];
  const words = lifecycle === "paused" ? "Paused: edged looks at nothing until it is told to go on." : "Nothing: all is well.";
  const list = find("troubles");
  const next = found.length ? found : [words];
  // Said once by a screen reader, not every two seconds.
  if ([...list.children].map((item) => item.textContent).join("\n") === next.join("\n")) return;
  list.className = `words ${found.length ? (status === "failed" ? "bad" : "fair") : ""}`;
  list.replaceChildren(...next.map((text) => element("li", text)));
}

function showRunning(state, health) {
  if (!state) return;
  lines("running", [
    ["edged", `${state.version}, ${health.lifecycle}`],
    ["model", state.model],
    ["device", `${state.device}, ${state.runtime}`],
    ["source", Object.entries(state.source).map(([name, value]) => `${name} ${value}`).join(", ") || "–"],
    ["camera", state.camera_online ? "gives frames" : "gives no frames"],
    ["settings", state.config_hash],
  ]);
}

function showFrames(report) {
  if (!report) return;
  const { captured, inferred, still, dropped, in_flight: way } = report.frames;
  const share = (count) => (captured ? ` (${(100 * count / captured).toFixed(1)} %)` : "");
  lines("frames", [
    ["captured", captured],
    ["went through the model", `${inferred}${share(inferred)}`],
    ...(still ? [["nothing moved: results without the model", `${still}${share(still)}`]] : []),
    ...Object.entries(dropped).map(([cause, count]) => [`dropped: ${CAUSES[cause] || cause}`, `${count}${share(count)}`]),
    ["on their way", way],
    ["times the source came back", report.reconnects],
  ]);
  lines("sinks", Object.entries(report.sinks).flatMap(([sink, fates]) => Object.entries(fates)
    .map(([of, count]) => [fate(sink, of), count])));
  lines("machine", Object.entries(report.host).map(([name, value]) => {
    const [words, unit] = SENSORS[name] || [name.replaceAll("_", " "), ""];
    return [words, typeof value === "boolean" ? (value ? "yes" : "no") : `${value}${unit}`];
  }));
}

function show(live) {
  showStatus("ok", []);
  document.title = `How it runs – ${live.title} – edged`;
  find("title").textContent = live.title;
  showTroubles(live);
  showRunning(live.state, live.health);
  showFrames(live.report);
}

function showHour(hour) {
  find("stages").replaceChildren(...ordered(Object.keys(hour.stages)).map((name) => {
    const stage = hour.stages[name];
    const line = row("tr", ["p50_ms", "p95_ms", "p99_ms", "max_ms"].map((key) => element("td", stage[key].toFixed(1), "number")));
    const head = element("th", name);
    head.scope = "row";
    line.prepend(head);
    return line;
  }));
  if (!hour.ts.length) return;
  const host = Object.entries(CHARTED).filter(([name]) => hour.host[name]);
  const stages = ordered(Object.keys(hour.p50_ms));
  find("charts").replaceChildren(
    chart("frames a second", "", hour.ts, [hour.fps]),
    // The whole way first; faint is the 95th percentile.
    ...stages.sort((first, second) => (second === "total") - (first === "total"))
      .map((name) => chart(name, " ms", hour.ts, [hour.p50_ms[name], hour.p95_ms[name]])),
    ...host.map(([name, [title, unit]]) => chart(title, unit, hour.ts, [hour.host[name]])),
    element("p", `Since ${clock(hour.ts[0])}. Of stages the line is the median, the faint one above it what 95 of 100 frames need at most.`),
  );
}

poll("live.json", show, PERIOD_MS);
poll("history.json", showHour, HISTORY_MS);
