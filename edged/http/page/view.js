import { ownVideo } from "./own.js";
import { clock, condition, counted, element, find, named, poll, row, showStatus, stream } from "./page.js";
import { CAUSES, fate } from "./words.js";

const MOST_OBJECTS = 8;

function bar(value, most) {
  const cell = element("td", "", "bar");
  const meter = document.createElement("meter");
  meter.max = most;
  meter.value = value;
  cell.append(meter);
  return cell;
}

function showStages(stages) {
  const parts = Object.entries(stages);
  const most = Math.max(0.001, ...parts.filter(([name]) => name !== "total").map(([, stage]) => stage.p50_ms));
  find("stages").replaceChildren(...parts.map(([name, stage]) => row("tr", [
    name,
    name === "total" ? element("td", "") : bar(stage.p50_ms, most),
    element("td", stage.p50_ms.toFixed(1), "number"),
    stage.max_ms.toFixed(1),
  ])));
}

function showObjects(objects, sightings) {
  const items = objects ? objects.items.slice(0, MOST_OBJECTS) : [];
  find("objects").replaceChildren(...(items.length
    ? items.map((item) => row("li", [named(item), item.score.toFixed(2)]))
    : [row("li", objects ? ["nothing", clock(objects.ts)] : ["–", ""])]));
  find("sightings").replaceChildren(...sightings.slice().reverse().map((sighting) => {
    const [since, until] = [clock(sighting.since), clock(sighting.until)];
    return row("li", [counted(sighting.most), since === until ? since : `${since} – ${until}`]);
  }));
}

function showPlaces(presence) {
  const zones = Object.entries(presence ? presence.zones : {});
  const lines = Object.entries(presence ? presence.lines : {});
  find("places").hidden = !zones.length && !lines.length;
  find("zones").replaceChildren(
    ...zones.map(([name, counts]) => row("li", [name, counted(counts) || "nobody"])),
    ...lines.map(([name, totals]) => row("li", [name, `${totals.in} in, ${totals.out} out`])),
  );
}

function showFrames(report) {
  if (!report) return;
  const frames = report.frames;
  const lines = [["captured", frames.captured], ["went through the model", frames.inferred]];
  if (frames.still) lines.push(["nothing moved: results without the model", frames.still]);
  for (const [cause, count] of Object.entries(frames.dropped)) lines.push([`dropped: ${CAUSES[cause] || cause}`, count]);
  if (report.reconnects) lines.push(["source came back", report.reconnects]);
  for (const [sink, fates] of Object.entries(report.sinks)) {
    for (const [of, count] of Object.entries(fates)) lines.push([fate(sink, of), count]);
  }
  find("frames").replaceChildren(...lines.map(([name, count]) => row("tr", [name, String(count)])));
}

function show(live) {
  document.title = `${live.title} – edged`;
  find("title").textContent = live.title;
  find("fps").textContent = live.fps.toFixed(1);
  showStatus(condition(live.health), live.health.problems);
  const paused = live.health.lifecycle === "paused";
  find("paused").hidden = !paused;
  watch(!paused, live.has_video);
  showStages(live.stages);
  showObjects(live.objects, live.sightings);
  showPlaces(live.presence);
  showFrames(live.report);
  if (live.state) {
    const state = live.state;
    find("source").textContent = Object.entries(state.source).map(([name, value]) => `${name} ${value}`).join(", ");
    find("model").textContent = `${state.model} on ${state.device}, ${state.runtime}, edged ${state.version}`;
  }
}

const watch = ownVideo(stream(find("picture")));
poll("live.json", show);
