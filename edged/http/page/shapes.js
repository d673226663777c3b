// Zones, lines, masks and the region of interest as settings have them. Nothing here touches the page.
// Points are [x, y] as fractions of the frame from its upper left, as in edged/settings/areas.py.

const MOST_CORNERS = 64;
const LEAST_CORNERS = 3;

/** A number as the env file has it: no exponent, four decimals. */
export const written = (number) => String(Number(number.toFixed(4)));

/** A name as settings can have it: capitals, digits and _, 32 at the most. */
export const settingName = (text) => text.toUpperCase().replace(/[^A-Z0-9]+/g, "_").replace(/^_+/, "").slice(0, 32);

/** Whether a label can be written: what would be read otherwise in an env file cannot. */
export const writable = (label) => label.trim() !== "" && !/[,@:#'"\\$`\n]/.test(label);

/** Points of a region of interest, [x, y, width, height] in pixels of a frame of this size: two corners. */
export const regionPoints = ([x, y, width, height], size) => [
  [x / size.w, y / size.h],
  [Math.min(1, (x + width) / size.w), Math.min(1, (y + height) / size.h)],
];

/** All corners of what is drawn; a region has only two of its four. */
export function outline(shape) {
  if (shape.kind !== "roi") return shape.points;
  const [[left, top], [right, bottom]] = shape.points;
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

/** Name and value of the setting of a shape. */
export function setting(shape, prefix, size) {
  if (shape.kind === "roi") {
    const [[left, top], [right, bottom]] = shape.points;
    const [x, y] = [Math.round(Math.min(left, right) * size.w), Math.round(Math.min(top, bottom) * size.h)];
    const width = Math.max(1, Math.round(Math.max(left, right) * size.w) - x);
    const height = Math.max(1, Math.round(Math.max(top, bottom) * size.h) - y);
    return { name: `${prefix}ROI`, value: [x, y, width, height].join(",") };
  }
  const labels = shape.labels.length ? `${[...shape.labels].sort().join(",")}@` : "";
  const points = shape.points.map(([x, y]) => `${written(x)},${written(y)}`).join(" ");
  const dwell = shape.kind === "zone" && shape.dwell > 0 ? ` dwell=${written(shape.dwell)}` : "";
  return { name: `${prefix}${shape.kind.toUpperCase()}_${shape.name.toUpperCase()}`, value: labels + points + dwell };
}

/** Where a box stands: the middle of its lower edge, as in edged/scene/zones.py. */
export const place = ([x1, , x2, y2], size) => [
  Math.min(1, Math.max(0, (x1 + x2) / 2 / size.w)),
  Math.min(1, Math.max(0, y2 / size.h)),
];

/** Whether a point lies in a polygon: a ray to the right meets its edges an odd number of times. */
export function inside([x, y], polygon) {
  let within = false;
  let [x1, y1] = polygon[polygon.length - 1];
  for (const [x2, y2] of polygon) {
    if ((y1 > y) !== (y2 > y) && x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)) within = !within;
    [x1, y1] = [x2, y2];
  }
  return within;
}

export const concerns = (shape, label) => !shape.labels.length || shape.labels.includes(label);

/** Part of the frame that a box covers. */
export const part = ([x1, y1, x2, y2], size) => (x2 - x1) * (y2 - y1) / (size.w * size.h);

/** Why an object would be left out, in words; empty if it would not. */
export function leftOut(object, size, shapes, limits) {
  const where = place(object.box, size);
  const least = limits.scores.get(object.label);
  if (least !== undefined && object.score < least) return `score below ${written(least)}`;
  const [smallest, largest] = limits.areas.get(object.label) || [0, 1];
  const covers = part(object.box, size);
  if (covers < smallest) return "too small";
  if (covers > largest) return "too large";
  for (const shape of shapes) {
    if (shape.kind === "mask" && concerns(shape, object.label) && inside(where, shape.points)) return `in mask ${shape.name}`;
    if (shape.kind === "roi" && !inside(where, outline(shape))) return "outside the region";
  }
  return "";
}

/** Objects that count in a zone, with its least time by their tracks; `since` remembers who has been there. */
export function counted(zone, objects, size, since, now) {
  const present = objects.filter((object) => concerns(zone, object.label) && inside(place(object.box, size), zone.points));
  const tracks = new Set(present.map((object) => object.track));
  for (const track of since.keys()) if (!tracks.has(track)) since.delete(track);
  for (const track of tracks) if (!since.has(track)) since.set(track, now);
  return present.filter((object) => now - since.get(object.track) >= zone.dwell);
}

/** Put a corner into the middle of the edge behind corner `index`; gives its number, or -1 if there are too many. */
export function split(shape, index) {
  if (shape.points.length >= MOST_CORNERS) return -1;
  const [x1, y1] = shape.points[index];
  const [x2, y2] = shape.points[(index + 1) % shape.points.length];
  shape.points.splice(index + 1, 0, [(x1 + x2) / 2, (y1 + y2) / 2]);
  return index + 1;
}

/** Take a corner away, unless too few would stay. */
export function cut(shape, index) {
  if (shape.kind === "line" || shape.kind === "roi" || shape.points.length <= LEAST_CORNERS) return false;
  shape.points.splice(index, 1);
  return true;
}

/** Move corners by so much, all by the same and none out of the frame. */
export function shift(points, [dx, dy]) {
  const clamp = (delta, values) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), delta));
  const [x, y] = [clamp(dx, points.map((point) => point[0])), clamp(dy, points.map((point) => point[1]))];
  return points.map((point) => [point[0] + x, point[1] + y]);
}

/**
 * What to change in the env file.
 *
 * `now` and `before` have settings by name. Gives lines that are new or stand for another value, and those to take out.
 */
export function changes(now, before) {
  const lines = [];
  for (const [name, value] of now) {
    if (before.get(name) !== value) lines.push({ name, value, instead: before.get(name) });
  }
  const gone = [...before].filter(([name]) => !now.has(name)).map(([name, value]) => ({ name, value }));
  return { lines, gone };
}
