// Plot of columns over time, or another quantity: lines with a band, limits and a time cursor. It draws at most two
// points of each line per pixel: the lowest and the highest.

import { countUntil } from "./cursor.js";
import { axis, css, element, number } from "./theme.js";

const LEAST_DRAG_PX = 6, GAP_STEPS = 5, LEAST_GAP_MS = 60000, HEIGHT_PX = 168, WHEEL = 1.3, FEW_ROWS = 60;
const NOTHING = () => () => null;
export const COLOURS = ["--filter", "--smoother", "--batch", "--mirror", "--limit", "--look", "--rejected", "--muted"];

// Rows of the times from start to end with at most two per column of pixels. Returns times and a function that reduces
// a column of values; `pick` selects "min" or "max" for edges of bands, otherwise both are kept in their order.
export function decimated(times, start, end, pixels, gap = gapOf(times)) {
  const first = Math.max(0, countUntil(times, start) - 1), behind = Math.min(times.length, countUntil(times, end) + 1);
  if (behind - first <= 2 * pixels) {
    const rows = [];
    for (let row = first; row < behind; row++) {
      if (row > first && times[row] - times[row - 1] > gap) rows.push(-1);
      rows.push(row);
    }
    const at = rows.map((row, rank) => row < 0 ? times[rows[rank - 1]] + 1 : times[row]);
    return { at, reduce: values => rows.map(row => row < 0 ? null : known(values[row])) };
  }
  const edges = [], width = (end - start) / pixels;
  for (let row = first; row < behind;) {
    const next = Math.min(behind, Math.max(row + 1, countUntil(times, times[row] + width)));
    edges.push([row, next]);
    row = next;
  }
  const at = [];
  edges.forEach(([from, to], rank) => {
    if (rank && times[from] - times[from - 1] > gap) at.push(times[from - 1] + 1);
    at.push(times[from]);
    if (to - from > 1) at.push(times[to - 1]);
  });
  const reduce = (values, pick) => {
    const found = [];
    edges.forEach(([from, to], rank) => {
      if (rank && times[from] - times[from - 1] > gap) found.push(null);
      let low = NaN, high = NaN, lowAt = from, highAt = from;
      for (let row = from; row < to; row++) {
        if (!(values[row] >= low)) if (values[row] === values[row]) { low = values[row]; lowAt = row; }
        if (!(values[row] <= high)) if (values[row] === values[row]) { high = values[row]; highAt = row; }
      }
      const [one, other] = pick === "min" ? [low, low] : pick === "max" ? [high, high] : lowAt <= highAt ? [low, high] : [high, low];
      found.push(known(one));
      if (to - from > 1) found.push(known(other));
    });
    return found;
  };
  return { at, reduce };
}

function known(value) { return Number.isFinite(value) ? value : null; }

// The same plot without rows in which no line has a value, as where a truth has fewer rows than the estimates.
function withoutEmptyRows(of) {
  const rows = [];
  for (let row = 0; row < of.times.length; row++) if (of.lines.some(({ values }) => Number.isFinite(values[row]))) rows.push(row);
  if (rows.length === of.times.length) return of;
  const some = values => values && Float64Array.from(rows, row => values[row]);
  const band = of.band && { sigma: some(of.band.sigma), around: some(of.band.around) };
  return { ...of, times: some(of.times), lines: of.lines.map(({ label, values }) => ({ label, values: some(values) })), band };
}

// Ticks of a logarithmic axis: decades, or also their halves and fifths if there are few.
function decades(_, __, low, high) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high)), found = [];
  for (let power = first; power <= last; power++) for (const factor of last - first < 4 ? [1, 2, 5] : [1]) found.push(factor * 10 ** power);
  return found.filter(tick => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
}

function gapOf(times) {
  if (times.length < 3) return Infinity;
  const steps = [];
  for (let row = 1; row < times.length; row += Math.max(1, times.length >> 9)) steps.push(times[row] - times[row - 1]);
  steps.sort((one, other) => one - other);
  return Math.max(LEAST_GAP_MS, GAP_STEPS * steps[steps.length >> 1]);
}

// Places of the values between two gaps, which no line shows.
export function lonely(values) {
  const isGap = place => (values[place] ?? null) === null;
  return Array.from(values, (_, place) => place).filter(place => !isGap(place) && isGap(place - 1) && isGap(place + 1));
}

// Formats of times by the distance of the ticks.
export const TICKS = [
  [365 * 86400000, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86400000, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400000, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60000, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1000, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{ss}.{fff}", "\n{D} {MMM} {HH}:{mm}", null, null, null, null, null, 1],
];

export class LinePlot {
  // of: title, unit, times, lines [{label, values}], and if wanted band {sigma, around}, limits, logarithmic, dots, shades
  // [[start, end]], gap (ms without rows that interrupt lines), wrap (difference of values that does), across (splits and
  // values of an axis that is not UTC). onTime and onSpan are called with what the user chooses, onSpan without arguments
  // for the whole, onWheel with a factor and the time at the pointer.
  constructor(parent, of, { onTime, onSpan, onWheel }) {
    Object.assign(this, { of, onTime, onSpan, onWheel, plot: null, time: null, isStale: true });
    this.values = of.lines.map((_, rank) => element("span", { class: "value" }, `${of.lines[rank].label} –`));
    of.lines.forEach((_, rank) => this.values[rank].style.setProperty("--colour", `var(${COLOURS[rank % COLOURS.length]})`));
    const title = element("figcaption", {}, element("b", {}, `${of.title}${of.unit === "1" ? "" : `, ${of.unit}`}`), ...this.values);
    this.box = element("div", { class: "canvas", role: "img", "aria-label": of.title });
    this.node = element("figure", { class: "plot" }, title, this.box);
    parent.append(this.node);
  }

  // Draw the span if it or the width has changed.
  show(start, end) {
    const width = this.box.clientWidth;
    if (!width || (!this.isStale && start === this.start && end === this.end && width === this.width)) return;
    if (this.isStale) this.of = withoutEmptyRows(this.of);
    Object.assign(this, { start, end, width, isStale: false });
    const data = this.data();
    if (this.plot) {
      if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT_PX });
      this.plot.setData(data, false);
      this.plot.setScale("x", { min: start, max: end });
    } else this.make(data);
    this.mark(this.time);
  }

  // Continue with other rows.
  renew(of) {
    Object.assign(this, { of, isStale: true, edges: null });
  }

  close() { this.plot?.destroy(); }

  data() {
    const { times, lines, band, limits = [], gap } = this.of;
    const { at, reduce } = decimated(times, this.start, this.end, Math.max(100, this.width), gap);
    const isFine = value => value !== null && value > 0;
    const clean = values => this.of.logarithmic ? values.map(value => isFine(value) ? value : null) : values;
    const data = [at, ...lines.map(({ values }) => clean(reduce(values)))];
    if (band) {
      if (!this.edges) this.edges = [1, -1].map(sign => band.sigma.map((sigma, row) => (band.around ? band.around[row] : 0) + sign * 3 * sigma));
      data.push(reduce(this.edges[0], "max"), reduce(this.edges[1], "min"));
    }
    return limits.reduce((all, level) => [...all, at.map(() => level)], data);
  }

  make(data) {
    const { lines, band, limits = [], logarithmic, dots, across = { values: TICKS } } = this.of;
    const series = [{}, ...lines.map((_, rank) => {
      const stroke = () => css(COLOURS[rank % COLOURS.length]);
      const filter = (plot, place, isShown) => isShown ? null : lonely(plot.data[place]);
      const gaps = (plot, place, first, last, found) => this.wraps(plot, place, first, last, found);
      return dots ? { stroke, paths: () => null, points: { show: true, size: 4, fill: stroke } } : { stroke, gaps, width: 1.3, points: { show: plot => plot.data[0].length < FEW_ROWS, filter, size: 4, fill: stroke } };
    })];
    const edge = { stroke: () => css("--filter-band"), width: 1, points: { show: false } };
    if (band) series.push(edge, { ...edge });
    for (const _ of limits) series.push({ stroke: () => css("--rejected"), width: 1, dash: [6, 4], points: { show: false } });
    this.plot = new uPlot({
      width: this.width, height: HEIGHT_PX, ms: 1, series, padding: [6, 18, 0, 0],
      bands: band ? [{ series: [lines.length + 1, lines.length + 2], fill: () => `color-mix(in srgb, ${css("--filter")} 16%, transparent)` }] : [],
      tzDate: ms => uPlot.tzDate(new Date(ms), "UTC"),
      legend: { show: false },
      scales: { x: { time: !this.of.across, range: () => [this.start, this.end] }, y: logarithmic ? { distr: 3 } : {} },
      axes: [axis({ space: 64, ...across }), axis({ size: 54, ...(logarithmic ? { splits: decades } : {}), values: (_, ticks) => ticks.map(tick => tick === null ? "" : number(tick)) })],
      cursor: {
        x: false, y: false, points: { show: false }, drag: { x: false, y: false, setScale: false },
        bind: { mousedown: NOTHING, mouseup: NOTHING, mousemove: NOTHING, mouseleave: NOTHING, dblclick: () => () => { this.onSpan(); return null; } },
      },
      hooks: { drawClear: [plot => this.shade(plot)] },
    }, data, this.box);
    this.listen();
  }

  // Gaps of a line, as pixels, with those where its values wrap; a narrower one would not be seen.
  wraps(plot, place, first, last, found) {
    const { wrap } = this.of, { data } = plot, values = data[place], more = [];
    for (let row = first + 1; wrap && row <= last; row++) {
      const [before, value] = [values[row - 1], values[row]];
      if (before === null || value === null || Math.abs(value - before) <= wrap) continue;
      const [from, to] = [row - 1, row].map(each => plot.valToPos(data[0][each], "x", true));
      more.push([Math.floor(from) - 1, Math.ceil(to) + 1]);
    }
    return [...found, ...more].sort(([one], [other]) => one - other);
  }

  // A click moves the time, dragging chooses a span.
  listen() {
    this.line = this.plot.over.appendChild(element("div", { class: "time" }));
    const { over } = this.plot, at = event => this.plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x");
    let from = null;
    over.addEventListener("pointerdown", event => { from = event.clientX; });
    over.addEventListener("pointermove", event => {
      if (from === null || Math.abs(event.clientX - from) < LEAST_DRAG_PX) return;
      const left = over.getBoundingClientRect().left, x = [from, event.clientX].map(each => each - left).sort((one, other) => one - other);
      this.plot.setSelect({ left: x[0], width: x[1] - x[0], top: 0, height: over.clientHeight }, false);
    });
    over.addEventListener("pointerup", event => {
      if (from === null) return;
      const isDrag = Math.abs(event.clientX - from) >= LEAST_DRAG_PX, width = over.clientWidth;
      const ends = [from, event.clientX].map(x => this.plot.posToVal(Math.min(width, Math.max(0, x - over.getBoundingClientRect().left)), "x")).sort((one, other) => one - other);
      this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      from = null;
      if (!isDrag) this.onTime(at(event));
      else this.onSpan(Math.round(ends[0]), Math.round(ends[1]));
    });
    over.addEventListener("pointercancel", () => { from = null; });
    if (this.onWheel) over.addEventListener("wheel", event => {
      event.preventDefault();
      this.onWheel(event.deltaY < 0 ? 1 / WHEEL : WHEEL, at(event));
    }, { passive: false });
  }

  shade(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = css("--shade");
    for (const [start, end] of this.of.shades ?? []) {
      const [from, to] = [start, end].map(ms => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(ms, "x", true))));
      if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.restore();
  }

  // Show the cursor and the values of the last row at or before a time.
  mark(time) {
    this.time = time;
    if (!this.plot || time === null) return;
    const share = (time - this.start) / (this.end - this.start);
    this.line.hidden = share < 0 || share > 1;
    this.line.style.transform = `translateX(${(share * this.plot.bbox.width / uPlot.pxRatio).toFixed(1)}px)`;
    const row = countUntil(this.of.times, time + 0.5) - 1;
    this.of.lines.forEach(({ label, values }, rank) => {
      const text = `${label} ${row < 0 ? "–" : number(values[row])}`;
      if (this.values[rank].textContent !== text) this.values[rank].textContent = text;
    });
  }

  redraw() { this.plot?.redraw(); }
}
