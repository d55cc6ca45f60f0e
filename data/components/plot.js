// Plot of columns over time, or another quantity: lines with bands, limits and a time cursor. It draws at most two points
// of each line per pixel: the lowest and the highest.

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
  if (of.lines.some(({ times }) => times)) return of;
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

// Places of the values between two gaps, which no line shows. Undefined values are at times of other lines only.
function lonely(values) {
  const own = Array.from(values, (_, place) => place).filter(place => values[place] !== undefined), isGap = rank => (values[own[rank]] ?? null) === null;
  return own.filter((_, rank) => !isGap(rank) && isGap(rank - 1) && isGap(rank + 1));
}

// Formats of times by the distance of the ticks.
const TICKS = [
  [365 * 86400000, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86400000, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400000, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60000, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1000, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{ss}.{fff}", "\n{D} {MMM} {HH}:{mm}", null, null, null, null, null, 1],
];

export class LinePlot {
  // of: title, unit, times and lines [{label, values}]; a line may have times, gap, colour, width and dash of its own,
  // edges {low, high} of a band, and marks [[time, value]]. If wanted band {sigma, around} of the first line, limits
  // (numbers, or {level, text}), logarithmic, dots, shades [[start, end]], gap (ms without rows that interrupt lines),
  // wrap (difference of values that does), across (splits and values of an axis that is not UTC), zone, range (of low and
  // high) and height. onTime and onSpan are called with what the user chooses, onSpan without arguments for the whole,
  // onWheel with a factor and the time at the pointer, onHover with that time or null.
  constructor(parent, of, actions) {
    Object.assign(this, { of, actions, plot: null, time: null, isStale: true, from: null });
    this.values = of.lines.map((_, rank) => element("span", { class: "value" }, `${of.lines[rank].label} –`));
    of.lines.forEach((_, rank) => this.values[rank].style.setProperty("--colour", `var(${COLOURS[rank % COLOURS.length]})`));
    const title = element("figcaption", { hidden: !of.title }, element("b", {}, `${of.title}${of.unit === "1" ? "" : `, ${of.unit}`}`), ...this.values);
    this.box = element("div", { class: "canvas", role: "img", "aria-label": of.title });
    this.node = element("figure", { class: "plot" }, title, this.box);
    parent.append(this.node);
  }

  // True while the user drags the pointer over the plot.
  get isDragging() { return this.from !== null; }

  // Draw the span if it or the size has changed.
  show(start, end) {
    const width = this.box.clientWidth, { height = HEIGHT_PX } = this.of;
    if (!width || (!this.isStale && start === this.start && end === this.end && width === this.width && height === this.plot.height)) return;
    if (this.isStale) this.of = withoutEmptyRows(this.of);
    this.box.style.height = `${height}px`;
    Object.assign(this, { start, end, width, isStale: false });
    const data = this.data();
    if (this.plot) {
      if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
      this.plot.setData(data, false);
      this.plot.setScale("x", { min: start, max: end });
    } else this.make(data, height);
    this.mark(this.time);
  }

  // Continue with other rows.
  renew(of) {
    Object.assign(this, { of, isStale: true, sigmas: null });
  }

  close() {
    this.plot?.destroy();
    this.node.remove();
  }

  // Lines, each before the edges of its band, in the order of the columns of the plot.
  columns() {
    const { lines, band } = this.of;
    if (band) this.sigmas ??= [1, -1].map(sign => band.sigma.map((sigma, row) => (band.around ? band.around[row] : 0) + sign * 3 * sigma));
    return lines.flatMap((line, rank) => {
      const colour = line.colour ?? COLOURS[rank % COLOURS.length], { times = this.of.times, gap = this.of.gap } = line, from = { times, gap, colour };
      const [high, low] = !rank && band ? this.sigmas : [line.edges?.high, line.edges?.low];
      return [{ ...from, line, values: line.values }, ...(high ? [{ ...from, values: high, pick: "max" }, { ...from, values: low, pick: "min" }] : [])];
    });
  }

  data() {
    const { limits = [], logarithmic } = this.of, tables = new Map();
    const isFine = value => value !== null && value > 0;
    for (const { times, gap, values, pick } of this.columns()) {
      if (!tables.has(times)) tables.set(times, decimated(times, this.start, this.end, Math.max(100, this.width), gap));
      const table = tables.get(times), column = table.reduce(values, pick);
      (table.columns ??= [table.at]).push(logarithmic && !pick ? column.map(value => isFine(value) ? value : null) : column);
    }
    const found = [...tables.values()].map(({ columns }) => columns);
    if (limits.length) found.push([[this.start, this.end], ...limits.map(limit => Array(2).fill(limit.level ?? limit))]);
    return found.length > 1 ? uPlot.join(found) : found[0];
  }

  make(data, height) {
    const { limits = [], logarithmic, dots, across = { values: TICKS }, zone = "UTC", range } = this.of, series = [{}], bands = [];
    const filter = (plot, place, isShown) => isShown ? null : lonely(plot.data[place]);
    const gaps = (plot, place, first, last, found) => this.wraps(plot, place, first, last, found);
    for (const { line, colour, pick } of this.columns()) {
      const stroke = () => css(colour), points = { show: plot => plot.data[0].length < FEW_ROWS, filter, size: 4, fill: stroke };
      if (pick === "max") bands.push({ series: [series.length, series.length + 1], fill: () => `color-mix(in srgb, ${css(colour)} 16%, transparent)` });
      if (pick) series.push({ stroke: () => this.of.band ? css("--filter-band") : "transparent", width: 1, points: { show: false } });
      else if (dots) series.push({ stroke, paths: () => null, points: { show: true, size: 4, fill: stroke } });
      else series.push({ stroke, gaps, width: line.width ?? 1.3, dash: line.dash, points });
    }
    for (const _ of limits) series.push({ stroke: () => css("--rejected"), width: 1, dash: [6, 4], points: { show: false } });
    this.plot = new uPlot({
      width: this.width, height, ms: 1, series, bands, padding: [6, 18, 0, 0],
      tzDate: ms => uPlot.tzDate(new Date(ms), zone),
      legend: { show: false },
      scales: { x: { time: !this.of.across, range: () => [this.start, this.end] }, y: logarithmic ? { distr: 3 } : range ? { range: (_, ...ends) => range(...ends) } : {} },
      axes: [axis({ space: 64, ...across }), axis({ size: 54, ...(logarithmic ? { splits: decades } : {}), values: (_, ticks) => ticks.map(tick => tick === null ? "" : number(tick)) })],
      cursor: {
        x: false, y: false, points: { show: false }, drag: { x: false, y: false, setScale: false },
        bind: { mousedown: NOTHING, mouseup: NOTHING, mousemove: NOTHING, mouseleave: NOTHING, dblclick: () => () => { this.actions.onSpan(); return null; } },
      },
      hooks: { drawClear: [plot => this.shade(plot)], draw: [plot => this.annotate(plot)] },
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
    const { over } = this.plot, { onTime, onSpan, onWheel, onHover } = this.actions;
    const at = event => this.plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x");
    this.line = over.appendChild(element("div", { class: "time", hidden: true }));
    over.addEventListener("pointerdown", event => { this.from = event.clientX; });
    over.addEventListener("pointermove", event => {
      if (this.from === null) onHover?.(at(event));
      if (this.from === null || Math.abs(event.clientX - this.from) < LEAST_DRAG_PX) return;
      const left = over.getBoundingClientRect().left, x = [this.from, event.clientX].map(each => each - left).sort((one, other) => one - other);
      this.plot.setSelect({ left: x[0], width: x[1] - x[0], top: 0, height: over.clientHeight }, false);
    });
    over.addEventListener("pointerup", event => {
      if (this.from === null) return;
      const isDrag = Math.abs(event.clientX - this.from) >= LEAST_DRAG_PX, width = over.clientWidth;
      const ends = [this.from, event.clientX].map(x => this.plot.posToVal(Math.min(width, Math.max(0, x - over.getBoundingClientRect().left)), "x")).sort((one, other) => one - other);
      this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.from = null;
      if (!isDrag) onTime(at(event));
      else onSpan(Math.round(ends[0]), Math.round(ends[1]));
    });
    over.addEventListener("pointercancel", () => { this.from = null; });
    over.addEventListener("pointerleave", () => onHover?.(null));
    if (onWheel) over.addEventListener("wheel", event => {
      event.preventDefault();
      onWheel(event.deltaY < 0 ? 1 / WHEEL : WHEEL, at(event));
    }, { passive: false });
  }

  // Draw the marks of lines as circles, and the texts of limits.
  annotate(plot) {
    const { ctx: pen, bbox: { left, top, width, height } } = plot, ratio = uPlot.pxRatio, { lines, limits = [] } = this.of;
    pen.save();
    pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
    pen.setLineDash([]);
    Object.assign(pen, { fillStyle: css("--panel"), font: `${11 * ratio}px system-ui, sans-serif`, textAlign: "left", textBaseline: "alphabetic" });
    lines.forEach(({ marks = [], colour }, rank) => {
      Object.assign(pen, { strokeStyle: css(colour ?? COLOURS[rank % COLOURS.length]), lineWidth: 1.5 * ratio });
      for (const [time, value] of marks) {
        pen.beginPath(); pen.arc(plot.valToPos(time, "x", true), plot.valToPos(value, "y", true), 3.2 * ratio, 0, 7);
        pen.fill(); pen.stroke();
      }
    });
    Object.assign(pen, { strokeStyle: css("--panel"), fillStyle: css("--rejected"), lineWidth: 4 * ratio });
    for (const { level, text } of limits.filter(limit => limit.text)) {
      const line = plot.valToPos(level, "y", true), isAtTop = line - 17 * ratio < top;
      for (const way of ["strokeText", "fillText"]) pen[way](text, left + 4 * ratio, line + (isAtTop ? 14 : -5) * ratio);
    }
    pen.restore();
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
    if (!this.plot) return;
    const share = (time - this.start) / (this.end - this.start);
    this.line.hidden = time === null || share < 0 || share > 1;
    this.line.style.transform = `translateX(${(share * this.plot.bbox.width / uPlot.pxRatio).toFixed(1)}px)`;
    if (time === null || !this.of.title) return;
    const row = countUntil(this.of.times, time + 0.5) - 1;
    this.of.lines.forEach(({ label, values }, rank) => {
      const text = `${label} ${row < 0 ? "–" : number(values[row])}`;
      if (this.values[rank].textContent !== text) this.values[rank].textContent = text;
    });
  }

  redraw() { this.plot?.redraw(); }
}
