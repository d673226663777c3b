// What figures mean, in words, and what to do about those that are not well.

export const CAUSES = {
  superseded: "a newer one came first",
  stale: "too old when the model was free",
  rate: "between those that EDGED_FPS asks for",
  quiet: "not decoded, nothing moved",
  behind: "not decoded, the decoder had fallen behind",
  corrupt: "damaged on the way",
  paused: "in a pause",
  stopped: "at the stop",
  aborted: "cut off at the end",
  failed: "the sink did not take it",
  predict_failed: "the model failed",
  preprocess_failed: "could not be prepared",
  postprocess_failed: "the output could not be read",
  bad_output: "the output made no sense",
  events: "events, too many at a time",
};

const SINKS = { mqtt: "broker", http: "page", jsonl: "lines", events: "lines of events" };

const OTHERS = {
  sent: "taken",
  packets: "the camera's packets that were recorded",
  packets_lost: "the camera's packets that were lost",
  events_delivered: "events that were delivered",
  events_refused: "events that it refused",
  events_lost: "events that were lost",
};

/** What became of results, or of what else a place counts, on the way there. */
export function fate(sink, of) {
  const words = OTHERS[of] || (CAUSES[of] ? `lost, ${CAUSES[of]}` : of.replaceAll("_", " "));
  return `${SINKS[sink] || sink}: ${words}`;
}

const STAGES = ["capture", "queue", "motion", "preprocess", "predict", "postprocess", "total", "annotate", "encode", "publish"];

/** Names of stages in the order of a frame's way; those that are not known come last. */
export function ordered(names) {
  const number = (name) => (STAGES.includes(name) ? STAGES.indexOf(name) : STAGES.length);
  return [...names].sort((first, second) => number(first) - number(second));
}

export const SENSORS = {
  cpu_temperature_c: ["processor", " °C"],
  tpu_temperature_c: ["Edge TPU", " °C"],
  memory_available_mb: ["memory available", " MB"],
  memory_used_percent: ["memory in use", " %"],
  memory_rss_mb: ["memory of edged", " MB"],
  disk_free_mb: ["disk free", " MB"],
  disk_used_percent: ["disk in use", " %"],
  load_1min: ["load, last minute", ""],
};

const HOT_C = 80;
const FULL_PERCENT = 92;
const MANY_DROPPED = 0.5;

/** Sentences for what the figures of a report show, each with what helps. */
export function hints(report) {
  if (!report) return [];
  const { host, frames } = report;
  const found = [];
  if (host.undervoltage) found.push("The power supply is too weak. Use one that gives enough current, with a short cable.");
  if (host.throttled || host.soft_temperature_limit || host.cpu_temperature_c >= HOT_C) {
    found.push(`The processor is hot${host.cpu_temperature_c ? ` (${host.cpu_temperature_c} °C)` : ""} and slows down. Give it a heat sink or a fan, or lower EDGED_FPS.`);
  }
  if (host.memory_used_percent >= FULL_PERCENT) found.push(`${host.memory_used_percent} % of the memory is in use. Take fewer EDGED_WORKERS or a smaller model.`);
  if (host.disk_used_percent >= FULL_PERCENT) found.push(`${host.disk_used_percent} % of the disk is in use. Bound what is recorded by EDGED_OUTPUT_MAX_GB.`);
  const late = (frames.dropped.superseded || 0) + (frames.dropped.stale || 0);
  if (frames.captured > 100 && late > MANY_DROPPED * frames.captured) {
    found.push(`The model is slower than the camera: ${Math.round(100 * late / frames.captured)} % of the frames gave way to newer ones. That is no fault; a smaller model, an Edge TPU or EDGED_WORKERS (see edged bench --tune) does more of them, a lower EDGED_FPS saves the work.`);
  }
  return found;
}
