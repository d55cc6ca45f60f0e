// Chart of several series over time: a plot with zoom, and the values at the time of its cursor.

import { countUntil, TimeCursor } from "./components/cursor.js";
import { LinePlot } from "./components/plot.js";
import { element, number } from "./components/theme.js";
import { time } from "./zone.js";

const HOUR = 3600000, MIN_SPAN_MS = 10000, LOAD_AFTER_MS = 250, MOST_TOLD = 16, PARTIAL = 0.75;

// Rank of the point of a series that is nearest to a time.
function nearest({ times }, ms) {
  const next = countUntil(times, ms);
  return next > 0 && (next === times.length || ms - times[next - 1] < times[next] - ms) ? next - 1 : next;
}

// Key of a series in legends, which has the colour of its line.
export function key(series) {
  const node = element("span", { class: series.isDashed ? "key dashed" : "key" });
  node.style.borderTopColor = series.color.startsWith("--") ? `var(${series.color})` : series.color;
  return node;
}

export class Chart {
  // onSpan is called with the ends of a span that the user has chosen, and without arguments to return to the former.
  constructor(node, spoken, onSpan) {
    Object.assign(this, { node, spoken, onSpan, series: [], cursor: null, isPointing: false, plot: null });
    this.tip = node.querySelector("#tip");
    this.nothing = node.querySelector("#nothing");
    node.addEventListener("keydown", event => this.press(event));
    node.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(node);
  }

  // series: title, color, isDashed, stepMs (0 for readings), points [ms, value] or [ms, mean, low, high, hours]; the
  // unit of all; limits: level and text; zone: name of the time zone.
  show(series, { unit, start, end, limits, zone }) {
    if (this.plot?.isDragging) return; // the next refresh shows the series
    const shown = series.filter(({ points }) => points.length).map(each => ({ ...each, times: each.points.map(([ms]) => ms + each.stepMs / 2) }));
    Object.assign(this, { series: shown, unit, start, end, limits, zone });
    this.plot?.close();
    this.plot = null;
    this.tip.hidden = true;
    const isMissing = !window.uPlot;
    this.nothing.hidden = !isMissing && this.series.length > 0;
    this.nothing.textContent = isMissing
      ? "The server has no libraries for charts. In a checkout, run “make frontend” and start the server again."
      : "No readings in this time span";
    if (this.nothing.hidden) this.make();
  }

  make() {
    const { times } = this.series.reduce((most, each) => each.times.length > most.times.length ? each : most);
    this.cursor = new TimeCursor(this.start, this.end, () => times);
    this.cursor.listen(() => this.tell());
    this.isPointing = false;
    this.plot = new LinePlot(this.node, this.content(), {
      onTime: ms => this.point(ms), onHover: ms => this.point(ms), onSpan: (...ends) => this.onSpan(...ends), onWheel: (factor, ms) => this.zoom(factor, ms),
    });
    this.draw();
  }

  draw() {
    if (!this.plot) return;
    this.cursor.extend(this.start, this.end);
    this.plot.of.height = this.node.clientHeight;
    this.plot.show(this.start, this.end);
  }

  redraw() { this.plot?.redraw(); }

  content() {
    const highest = Math.max(...this.series.flatMap(({ points }) => points.map(([, value]) => value)));
    const lines = this.series.map(each => {
      const { points, stepMs, isDashed, color, title, times } = each, column = rank => points.map(point => point[rank]);
      const isMean = !isDashed && points[0].length > 2, gap = stepMs ? 1.5 * stepMs : undefined;
      const marks = isMean ? points.filter(point => isPartial(each, point[4])).map(([ms, mean]) => [ms + stepMs / 2, mean]) : [];
      const drawn = isDashed ? { width: 1.2, dash: [2, 3] } : { width: 1.7 };
      return { ...drawn, label: title, times, gap, colour: color, values: column(1), edges: isMean ? { low: column(2), high: column(3) } : null, marks };
    });
    // A limit far above the values would press them to the axis.
    return { title: "", unit: this.unit, lines, limits: this.limits.filter(({ level }) => level < 2 * highest), zone: this.zone, range: rangeOf, height: this.node.clientHeight };
  }

  zoom(factor, centre = this.isPointing ? this.cursor.time : (this.start + this.end) / 2) {
    const length = Math.max(MIN_SPAN_MS, (this.end - this.start) * factor), share = (centre - this.start) / (this.end - this.start);
    this.moveTo(centre - share * length, centre + (1 - share) * length);
  }

  pan(share) {
    const ms = (this.end - this.start) * share;
    this.moveTo(this.start + ms, this.end + ms);
  }

  // Show the span with the present points; load its points when the user pauses.
  moveTo(start, end) {
    [this.start, this.end] = [Math.round(start), Math.round(end)];
    this.draw();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.onSpan(this.start, this.end), LOAD_AFTER_MS);
  }

  press(event) {
    const acts = { "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), Escape: () => this.onSpan() };
    if (event.shiftKey) Object.assign(acts, { ArrowLeft: () => this.pan(-0.3), ArrowRight: () => this.pan(0.3) });
    if (acts[event.key]) acts[event.key]();
    else if (!this.step(event.key)) return;
    event.preventDefault();
  }

  // Move the cursor along the points of the longest series; return false for other keys.
  step(pressed) {
    const { cursor, isPointing } = this, last = () => cursor.moveTo(cursor.records.at(-1));
    const act = { ArrowLeft: () => isPointing ? cursor.step(-1) : last(), ArrowRight: () => isPointing ? cursor.step(1) : last(), Home: () => cursor.moveTo(cursor.records[0]), End: last }[pressed];
    if (!act || !this.plot) return false;
    this.isPointing = true;
    act();
    this.spoken.textContent = this.tip.innerText.replaceAll("\n", ", ");
    return true;
  }

  // Move the cursor to a time; null hides it.
  point(ms) {
    this.isPointing = ms !== null && this.plot !== null;
    if (this.isPointing) this.cursor.moveTo(ms); else this.tell();
  }

  // Points of the series near the cursor.
  found() {
    const reach = (this.end - this.start) / 40, at = this.cursor.time;
    return this.series.map(each => ({ each, point: each.points[nearest(each, at)] }))
      .filter(({ each, point }) => Math.abs(point[0] + each.stepMs / 2 - at) <= Math.max(reach, each.stepMs));
  }

  // Show the values at the cursor.
  tell() {
    const found = this.isPointing ? this.found() : [], ms = this.isPointing ? this.cursor.time : null;
    this.plot?.mark(ms);
    this.tip.hidden = !found.length;
    if (!found.length) return;
    const [{ each: first, point }] = found;
    const title = first.stepMs ? `${time(point[0])}, ${first.stepMs / HOUR} h` : time(point[0]);
    this.tip.replaceChildren(element("div", { class: "note" }, title), ...found.slice(0, MOST_TOLD).map(({ each, point: [, value, low, high, hours] }) => {
      const range = low === undefined || low === high ? "" : ` (${number(low)} to ${number(high)})`;
      const part = isPartial(each, hours) ? `, from ${hours} of ${each.stepMs / HOUR} h` : "";
      return element("div", {}, key(each), `${each.title}: ${number(value)} ${this.unit}${range}${part}`);
    }));
    const share = (ms - this.start) / (this.end - this.start), isRight = share > 0.5;
    this.tip.style.left = isRight ? "auto" : `calc(${100 * share}% + 4em)`;
    this.tip.style.right = isRight ? `calc(${100 * (1 - share)}% + 1em)` : "auto";
  }
}

// Fewer than three quarters of the hours of an interval have readings.
export function isPartial({ stepMs }, hours) {
  return hours !== undefined && hours < PARTIAL * stepMs / HOUR;
}

// Concentrations and other values near 0 get an axis that begins there.
function rangeOf(low, high) {
  if (low === null) return [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
  return [low >= 0 && low < 0.35 * high ? 0 : low - room, high + room];
}
