// Chart of several series over time: a uPlot with zoom, bands, limits and the values at the pointer.

import { countUntil } from "./components/cursor.js";
import { decimated, lonely, TICKS } from "./components/plot.js";
import { axis, css, element, number } from "./components/theme.js";
import { time } from "./zone.js";

const HOUR = 3600000, MIN_SPAN_MS = 10000, LOAD_AFTER_MS = 250, LEAST_DRAG_PX = 6, MOST_TOLD = 16, PARTIAL = 0.75;

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
    Object.assign(this, { node, spoken, onSpan, series: [], limits: [], cursor: null, plot: null });
    this.tip = node.querySelector("#tip");
    this.nothing = node.querySelector("#nothing");
    node.addEventListener("keydown", event => this.press(event));
    node.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.resize()).observe(node);
  }

  // series: title, color, isDashed, stepMs (0 for readings), points [ms, value] or [ms, mean, low, high, hours]; the
  // unit of all; limits: ug_m3, source; zone: name of the time zone.
  show(series, { unit, start, end, limits, zone }) {
    if (this.plot?.select.width) return; // the user is dragging; the next refresh shows the series
    const shown = series.filter(({ points }) => points.length).map(each => ({ ...each, times: each.points.map(([ms]) => ms + each.stepMs / 2) }));
    Object.assign(this, { series: shown, unit, start, end, limits, zone });
    this.plot?.destroy();
    this.plot = null;
    this.point(null);
    const isMissing = !window.uPlot;
    this.nothing.hidden = !isMissing && this.series.length > 0;
    this.nothing.textContent = isMissing
      ? "The server has no libraries for charts. In a checkout, run “make frontend” and start the server again."
      : "No readings in this time span";
    if (this.nothing.hidden && this.node.clientWidth) this.make();
  }

  redraw() { this.plot?.redraw(); }

  resize() {
    const width = this.node.clientWidth, height = this.node.clientHeight;
    if (!width || !this.series.length || !window.uPlot) return;
    if (!this.plot) this.make();
    else if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
  }

  make() {
    const { data, series, bands } = this.table();
    this.plot = new uPlot({
      width: this.node.clientWidth, height: this.node.clientHeight, ms: 1, series, bands, padding: [10, 12, 0, 0],
      tzDate: ms => uPlot.tzDate(new Date(ms), this.zone),
      legend: { show: false },
      scales: { x: { range: () => [this.start, this.end] }, y: { range: (_, low, high) => this.range(low, high) } },
      axes: [axis({ space: 70, values: TICKS }), axis({ size: 58, values: (_, ticks) => ticks.map(tick => number(tick)) })],
      cursor: {
        y: false, drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG_PX }, points: { size: 7 },
        dataIdx: (_, rank, index) => nearestValue(data, rank, index),
        bind: { dblclick: () => () => { this.onSpan(); return null; } },
      },
      hooks: {
        setSelect: [plot => this.select(plot)],
        setCursor: [plot => this.point(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null)],
        draw: [plot => this.marks(plot)],
      },
    }, data, this.node);
    this.plot.over.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7, this.plot.posToVal(event.offsetX, "x"));
    }, { passive: false });
  }

  // Data, series and bands of the plot. Undefined values are times of other series, null values are gaps.
  table() {
    const pixels = Math.max(1, this.node.clientWidth), tables = [], series = [{}], bands = [];
    const alpha = this.series.length > 2 ? 0.1 : 0.16;
    this.drawn = [];
    for (const each of this.series) {
      const isMean = !each.isDashed && each.points[0].length > 2, stroke = () => css(each.color);
      const { at, reduce } = decimated(each.times, this.start, this.end, pixels, each.stepMs ? 1.5 * each.stepMs : undefined);
      const column = (rank, pick) => reduce(each.points.map(point => point[rank]), pick);
      tables.push(isMean ? [at, column(1), column(2, "min"), column(3, "max")] : [at, column(1)]);
      const rank = series.length, lone = new Set(lonely(tables.at(-1)[1]).map(place => at[place]));
      const filter = plot => lone.size ? plot.data[0].flatMap((ms, index) => lone.has(ms) && plot.data[rank][index] != null ? [index] : []) : null;
      series.push({ stroke, width: each.isDashed ? 1.2 : 1.7, dash: each.isDashed ? [2, 3] : undefined, points: { show: () => false, size: 6, fill: stroke, filter } });
      this.drawn.push({ each, partial: isMean ? each.points.filter(point => isPartial(each, point[4])) : [] });
      if (isMean) {
        const edge = { stroke: "transparent", width: 0, points: { show: false } };
        series.push(edge, { ...edge });
        bands.push({ series: [rank + 2, rank + 1], fill: () => `color-mix(in srgb, ${css(each.color)} ${alpha * 100}%, transparent)` });
      }
    }
    return { data: uPlot.join(tables), series, bands };
  }

  // Concentrations and other values near 0 get an axis that begins there. A limit not far above the values is shown.
  range(low, high) {
    if (low === null) return [0, 1];
    const limit = Math.max(0, ...this.limits.map(({ ug_m3 }) => ug_m3).filter(each => each < 2 * high));
    const top = Math.max(high, limit), room = (top - low) * 0.06 || Math.abs(top) * 0.05 || 1;
    return [low >= 0 && low < 0.35 * top ? 0 : low - room, top + room];
  }

  // Circles at means of partly covered intervals, and lines at limits.
  marks(plot) {
    const pen = plot.ctx, ratio = uPlot.pxRatio, { left, top, width, height } = plot.bbox;
    pen.save();
    pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
    pen.lineWidth = 1.5 * ratio;
    for (const { each, partial } of this.drawn) {
      pen.strokeStyle = css(each.color);
      pen.fillStyle = css("--panel");
      for (const [ms, mean] of partial) {
        pen.beginPath();
        pen.arc(plot.valToPos(ms + each.stepMs / 2, "x", true), plot.valToPos(mean, "y", true), 3.2 * ratio, 0, 7);
        pen.fill(); pen.stroke();
      }
    }
    Object.assign(pen, { font: `${11 * ratio}px system-ui, sans-serif`, textAlign: "left", textBaseline: "alphabetic" });
    for (const { ug_m3, source } of this.limits) {
      const y = plot.valToPos(ug_m3, "y", true), text = `${source}, daily mean: ${ug_m3}`;
      pen.strokeStyle = pen.fillStyle = css("--rejected");
      pen.lineWidth = ratio;
      pen.setLineDash([6 * ratio, 4 * ratio]);
      pen.beginPath(); pen.moveTo(left, y); pen.lineTo(left + width, y); pen.stroke();
      pen.setLineDash([]);
      pen.strokeStyle = css("--panel");
      pen.lineWidth = 4 * ratio;
      pen.strokeText(text, left + 4 * ratio, y - 5 * ratio);
      pen.fillText(text, left + 4 * ratio, y - 5 * ratio);
    }
    pen.restore();
  }

  select(plot) {
    const { left, width } = plot.select;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width >= LEAST_DRAG_PX) this.onSpan(...[left, left + width].map(x => Math.round(plot.posToVal(x, "x"))));
  }

  zoom(factor, centre = this.cursor ?? (this.start + this.end) / 2) {
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
    this.plot?.setScale("x", { min: this.start, max: this.end });
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

  // Move the cursor from point to point of the longest series; return false for other keys.
  step(pressed) {
    const longest = [...this.series].sort((one, other) => other.points.length - one.points.length)[0];
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(pressed) || !longest || !this.plot) return false;
    const { points, times } = longest, last = points.length - 1;
    const rank = this.cursor === null ? last : nearest(longest, this.cursor);
    const next = { ArrowLeft: this.cursor === null ? last : rank - 1, ArrowRight: rank + 1, Home: 0, End: last }[pressed];
    const ms = times[Math.max(0, Math.min(last, next))];
    this.plot.setCursor({ left: this.plot.valToPos(ms, "x"), top: 10 }, false);
    this.point(ms);
    this.spoken.textContent = this.tip.innerText.replaceAll("\n", ", ");
    return true;
  }

  // Points of the series near the cursor.
  found() {
    const reach = (this.end - this.start) / 40;
    return this.series.map(each => ({ each, point: each.points[nearest(each, this.cursor)] }))
      .filter(({ each, point }) => Math.abs(point[0] + each.stepMs / 2 - this.cursor) <= Math.max(reach, each.stepMs));
  }

  point(ms) {
    this.cursor = ms;
    const found = ms === null ? [] : this.found();
    this.tip.hidden = !found.length;
    if (!found.length) return;
    const [{ each: first, point }] = found;
    const title = first.stepMs ? `${time(point[0])}, ${first.stepMs / HOUR} h` : time(point[0]);
    this.tip.replaceChildren(element("div", { class: "note" }, title), ...found.slice(0, MOST_TOLD).map(({ each, point: [, value, low, high, hours] }) => {
      const range = low === undefined || low === high ? "" : ` (${number(low)} to ${number(high)})`;
      const part = isPartial(each, hours) ? `, from ${hours} of ${each.stepMs / HOUR} h` : "";
      return element("div", {}, key(each), `${each.title}: ${number(value)} ${this.unit}${range}${part}`);
    }));
    const x = this.plot.valToPos(ms, "x") + this.plot.over.offsetLeft, width = this.node.clientWidth, isRight = x > width / 2;
    this.tip.style.left = isRight ? "auto" : `${x + 12}px`;
    this.tip.style.right = isRight ? `${width - x + 12}px` : "auto";
  }
}

// Fewer than three quarters of the hours of an interval have readings.
export function isPartial({ stepMs }, hours) {
  return hours !== undefined && hours < PARTIAL * stepMs / HOUR;
}

// Index of the value of a series that is nearest to an index.
function nearestValue(data, rank, index) {
  const values = data[rank];
  for (let distance = 0; distance < values.length; distance++) {
    for (const at of [index - distance, index + distance]) if (values[at] !== null && values[at] !== undefined) return at;
  }
  return index;
}
