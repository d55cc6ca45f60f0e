// Bar over the whole recording: eclipses, modes of the attitude, events, and the slider of the time.

import { css, element } from "./theme.js";

const MODE_COLOURS = { fine: "--good", coarse: "--look" };
export const LEVEL_COLOURS = { nominal: "--good", warning: "--look", alarm: "--rejected", stale: "--muted" };
const STEPS = 100000, SMALL_MS = 60000;

export function utcText(ms, isShort = false) {
  const text = new Date(Math.round(ms)).toISOString().replace("T", " ").replace("Z", " UTC");
  return isShort ? text.slice(11, 19) : text;
}

export class Timeline {
  constructor(node, cursor, { tables, about }) {
    Object.assign(this, { cursor, tables, about });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.slider = element("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": "Time" });
    this.slider.addEventListener("input", () => {
      cursor.pause();
      cursor.moveTo(cursor.begin + this.slider.value / STEPS * (cursor.end - cursor.begin));
    });
    // Steps by records are better than those of the slider; the player handles all keys.
    this.slider.addEventListener("keydown", event => { if (/^(Arrow|Home|End|Page)/.test(event.key)) event.preventDefault(); });
    node.append(this.canvas, this.slider);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(node);
    cursor.listen(() => this.move());
  }

  close() { this.sizes.disconnect(); }

  move() {
    const { begin, end, time } = this.cursor;
    this.slider.value = end > begin ? (time - begin) / (end - begin) * STEPS : 0;
    this.slider.setAttribute("aria-valuetext", utcText(time));
  }

  draw() {
    const { canvas, cursor } = this, ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const pen = canvas.getContext("2d"), length = Math.max(1, cursor.end - cursor.begin);
    const x = ms => (ms - cursor.begin) / length * width;
    pen.scale(ratio, ratio);
    pen.fillStyle = css("--panel");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = css("--grid");
    for (const [start, end] of this.about.eclipses) pen.fillRect(x(start), 0, Math.max(1, x(end) - x(start)), height);
    this.drawModes(pen, x, height);
    for (const { time, level } of this.about.events) {
      if (level === "nominal") continue;
      pen.fillStyle = css(LEVEL_COLOURS[level]);
      pen.fillRect(Math.round(x(time)), 4, 1.5, height - 12);
    }
  }

  drawModes(pen, x, height) {
    const { attitude } = this.tables;
    if (!attitude) return;
    const { time, mode } = attitude;
    for (let row = 0; row < time.length;) {
      let next = row + 1;
      while (next < time.length && mode.index[next] === mode.index[row] && time[next] - time[next - 1] < SMALL_MS) next++;
      pen.fillStyle = css(MODE_COLOURS[mode.at(row)] ?? "--muted");
      const end = next < time.length ? Math.min(time[next], time[next - 1] + SMALL_MS) : time[next - 1];
      pen.fillRect(x(time[row]), height - 5, Math.max(1, x(end) - x(time[row])), 5);
      row = next;
    }
  }
}
