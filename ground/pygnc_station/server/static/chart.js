// Chart of several series over time on a canvas, with the values at the pointer.

import { element, number, time } from "./format.js";

const LEFT = 58, RIGHT = 12, TOP = 10, BOTTOM = 24, MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const TIME_STEPS = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY, 14 * DAY];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
}

function timeTicks(start, end, count) {
  const step = TIME_STEPS.find(size => (end - start) / size <= count);
  const found = [];
  if (step) {
    for (let tick = Math.ceil(start / step) * step; tick <= end; tick += step) found.push(tick);
    return found;
  }
  const first = new Date(start), months = Math.max(1, Math.ceil((end - start) / (30.4 * DAY) / count));
  for (let month = first.getUTCMonth() + 1; ; month += months) {
    const tick = Date.UTC(first.getUTCFullYear(), month, 1);
    if (tick > end) return found;
    found.push(tick);
  }
}

function timeLabel(ms, span) {
  const iso = new Date(ms).toISOString(), day = `${Number(iso.slice(8, 10))} ${MONTHS[Number(iso.slice(5, 7)) - 1]}`;
  if (span <= 2 * DAY) return ms % DAY === 0 ? day : iso.slice(11, 16);
  if (span <= 120 * DAY) return ms % DAY === 0 ? day : iso.slice(11, 16);
  return `${MONTHS[Number(iso.slice(5, 7)) - 1]} ${iso.slice(0, 4)}`;
}

// Rank of the point that is nearest to a time.
function nearest(points, ms) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < ms) low = middle + 1; else high = middle;
  }
  return low > 0 && ms - points[low - 1][0] < points[low][0] - ms ? low - 1 : low;
}

// Longest pause that is no gap in the line: a few times the usual interval.
function longestPause(points, stepMs) {
  if (stepMs) return 1.5 * stepMs;
  const pauses = points.slice(1).map(([ms], rank) => ms - points[rank][0]).sort((one, other) => one - other);
  return 10 * (pauses[Math.floor(pauses.length / 2)] || 0) + 1000;
}

export class Chart {
  constructor(node, spoken) {
    this.node = node;
    this.canvas = node.querySelector("canvas");
    this.tip = node.querySelector("#tip");
    this.spoken = spoken;
    this.series = [];
    this.cursor = null;
    node.addEventListener("pointermove", event => this.point(event.clientX - node.getBoundingClientRect().left));
    node.addEventListener("pointerleave", () => this.setCursor(null));
    node.addEventListener("blur", () => this.setCursor(null));
    node.addEventListener("keydown", event => this.move(event));
    new ResizeObserver(() => this.draw()).observe(node);
  }

  // series: title, color, isDashed, stepMs (0 for readings), points [ms, value] or [ms, mean, low, high]; unit of all.
  show(series, unit, start, end) {
    Object.assign(this, { series, unit, start, end });
    this.draw();
  }

  draw() {
    const scale = window.devicePixelRatio || 1, width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width) return;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const color = name => style.getPropertyValue(name).trim();
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = color("--faint");
    if (!this.series.some(({ points }) => points.length)) {
      pen.textAlign = "center";
      pen.fillText("No readings in this time span", width / 2, height / 2);
      return;
    }
    this.fit(width, height);
    this.axes(pen, color, width, height);
    const hasBand = this.series.filter(({ isDashed }) => !isDashed).length === 1;
    for (const each of this.series) {
      if (hasBand && !each.isDashed && each.points[0]?.length === 4) this.band(pen, each, color(each.color) || each.color);
      this.line(pen, each, color(each.color) || each.color);
    }
    if (this.cursor !== null) this.cross(pen, color, height);
  }

  fit(width, height) {
    let low = Infinity, high = -Infinity;
    const hasBand = this.series.filter(({ isDashed }) => !isDashed).length === 1;
    for (const { points, isDashed } of this.series) {
      for (const point of points) {
        const isWide = hasBand && !isDashed && point.length === 4;
        low = Math.min(low, isWide ? point[2] : point[1]);
        high = Math.max(high, isWide ? point[3] : point[1]);
      }
    }
    const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
    // Concentrations and other values near 0 get an axis that begins there.
    const base = low >= 0 && low < 0.35 * high ? 0 : low - room;
    const top = high + room;
    this.x = ms => LEFT + (ms - this.start) / (this.end - this.start) * (width - LEFT - RIGHT);
    this.y = value => TOP + (top - value) / (top - base) * (height - TOP - BOTTOM);
    this.at = x => this.start + (x - LEFT) / (width - LEFT - RIGHT) * (this.end - this.start);
    this.bounds = [base, top];
  }

  axes(pen, color, width, height) {
    pen.strokeStyle = color("--line");
    pen.textAlign = "right"; pen.textBaseline = "middle";
    for (const tick of ticks(...this.bounds, height < 260 ? 4 : 5)) {
      pen.beginPath(); pen.moveTo(LEFT, this.y(tick)); pen.lineTo(width - RIGHT, this.y(tick)); pen.stroke();
      pen.fillText(number(tick), LEFT - 7, this.y(tick));
    }
    pen.textAlign = "center"; pen.textBaseline = "alphabetic";
    for (const tick of timeTicks(this.start, this.end, Math.max(2, Math.floor((width - LEFT) / 78)))) {
      const x = this.x(tick);
      pen.beginPath(); pen.moveTo(x, TOP); pen.lineTo(x, height - BOTTOM + 4); pen.stroke();
      if (x > LEFT + 8 && x < width - 24) pen.fillText(timeLabel(tick, this.end - this.start), x, height - 6);
    }
  }

  band(pen, { points, stepMs }, color) {
    const longest = longestPause(points, stepMs), half = stepMs / 2;
    let part = [];
    const fill = () => {
      if (part.length > 1) {
        pen.beginPath();
        part.forEach(([ms, , , high]) => pen.lineTo(this.x(ms + half), this.y(high)));
        part.reverse().forEach(([ms, , low]) => pen.lineTo(this.x(ms + half), this.y(low)));
        pen.closePath();
        pen.fill();
      }
      part = [];
    };
    pen.fillStyle = color;
    pen.globalAlpha = 0.16;
    points.forEach((point, rank) => {
      if (rank && point[0] - points[rank - 1][0] > longest) fill();
      part.push(point);
    });
    fill();
    pen.globalAlpha = 1;
  }

  line(pen, { points, stepMs, isDashed }, color) {
    const longest = longestPause(points, stepMs), half = stepMs / 2;
    pen.strokeStyle = color;
    pen.fillStyle = color;
    pen.lineWidth = isDashed ? 1.2 : 1.7;
    pen.lineJoin = "round";
    pen.setLineDash(isDashed ? [2, 3] : []);
    pen.beginPath();
    const dots = [];
    points.forEach(([ms, value], rank) => {
      const begins = rank === 0 || ms - points[rank - 1][0] > longest;
      const ends = rank === points.length - 1 || points[rank + 1][0] - ms > longest;
      if (begins) pen.moveTo(this.x(ms + half), this.y(value)); else pen.lineTo(this.x(ms + half), this.y(value));
      if (begins && ends) dots.push([ms, value]);
    });
    pen.stroke();
    pen.setLineDash([]);
    for (const [ms, value] of dots) {
      pen.beginPath(); pen.arc(this.x(ms + half), this.y(value), 2, 0, 7); pen.fill();
    }
  }

  cross(pen, color, height) {
    const x = this.x(this.cursor);
    pen.strokeStyle = color("--faint");
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(x, TOP); pen.lineTo(x, height - BOTTOM); pen.stroke();
    for (const { each, point } of this.found()) {
      pen.fillStyle = color(each.color) || each.color;
      pen.beginPath(); pen.arc(this.x(point[0] + each.stepMs / 2), this.y(point[1]), 3.5, 0, 7); pen.fill();
    }
  }

  // Points of the series near the cursor.
  found() {
    const reach = (this.end - this.start) / 40;
    return this.series.filter(({ points }) => points.length).map(each => {
      const point = each.points[nearest(each.points, this.cursor - each.stepMs / 2)];
      return { each, point };
    }).filter(({ each, point }) => Math.abs(point[0] + each.stepMs / 2 - this.cursor) <= Math.max(reach, each.stepMs));
  }

  point(x) {
    if (this.x && x >= LEFT && x <= this.canvas.clientWidth - RIGHT) this.setCursor(this.at(x));
  }

  move(event) {
    const longest = [...this.series].sort((one, other) => other.points.length - one.points.length)[0];
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) || !longest?.points.length) return;
    event.preventDefault();
    const { points, stepMs } = longest, last = points.length - 1;
    const rank = this.cursor === null ? last : nearest(points, this.cursor - stepMs / 2);
    const next = { ArrowLeft: this.cursor === null ? last : rank - 1, ArrowRight: rank + 1, Home: 0, End: last }[event.key];
    this.setCursor(points[Math.max(0, Math.min(last, next))][0] + stepMs / 2);
    this.spoken.textContent = this.tip.innerText.replaceAll("\n", ", ");
  }

  setCursor(ms) {
    if (!this.x || (ms === null && this.cursor === null)) return;
    this.cursor = ms;
    this.draw();
    const found = ms === null ? [] : this.found();
    this.tip.hidden = !found.length;
    if (!found.length) return;
    const [{ each: first, point }] = found;
    const title = first.stepMs ? `${time(point[0])}, ${first.stepMs / HOUR} h` : time(point[0]);
    this.tip.replaceChildren(element("div", { class: "faint" }, title), ...found.slice(0, 16).map(({ each, point: [, value, low, high] }) => {
      const key = element("span", { class: each.isDashed ? "key dashed" : "key" });
      key.style.borderTopColor = each.color.startsWith("--") ? `var(${each.color})` : each.color;
      const range = low === undefined || low === high ? "" : ` (${number(low)} to ${number(high)})`;
      return element("div", {}, key, `${each.title}: ${number(value)} ${this.unit}${range}`);
    }));
    const x = this.x(ms), isRight = x > this.canvas.clientWidth / 2;
    this.tip.style.left = isRight ? "auto" : `${x + 12}px`;
    this.tip.style.right = isRight ? `${this.canvas.clientWidth - x + 12}px` : "auto";
  }
}
