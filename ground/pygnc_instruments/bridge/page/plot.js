// Line plot of a time span on a canvas.

export const COLOURS = ["#d1493f", "#2a9d57", "#3f82d0", "#b06fc7", "#d08a2a", "#2aa3a3"];
export const MARGIN = { left: 58, right: 8, top: 8, bottom: 22 };
const GAP_S = 1;
const WRAP_DEG = 300;
const MAX_POINTS = 8000;

export class Plot {
  // graph: {title, unit, columns}; parent: element that receives the plot.
  constructor(graph, parent) {
    this.columns = graph.columns;
    this.unit = graph.unit;
    this.isAngle = graph.unit === "deg";
    this.points = [];
    this.figure = document.createElement("figure");
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.title = graph.title;
    this.caption = document.createElement("figcaption");
    const title = document.createElement("b");
    title.textContent = `${graph.title}${graph.unit ? `, ${graph.unit}` : ""}`;
    this.caption.append(title);
    this.labels = graph.columns.map((column, k) => {
      const label = document.createElement("span");
      label.dataset.column = column;
      label.style.color = COLOURS[k % COLOURS.length];
      this.caption.append(label);
      return label;
    });
    this.figure.append(this.caption, this.canvas);
    parent.append(this.figure);
  }

  add(values) {
    const ys = this.columns.map((column) => values[column] ?? null);
    this.points.push({ t: values.time, ys });
    if (this.points.length > MAX_POINTS) {
      this.points.splice(0, MAX_POINTS / 4);
    }
  }

  // Return an empty canvas for what it will show: its pen and its size in CSS pixels.
  clear(unit, over) {
    const { canvas } = this;
    canvas.setAttribute("aria-label", `${this.title}, ${unit}, over ${over}`);
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(this.figure);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.fillStyle = style.getPropertyValue("--faint");
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.textBaseline = "middle";
    return { pen, width, height };
  }

  // view: {span, end, pausedAt}, in s of the device's time; end is null for the newest readings.
  draw({ span, end, pausedAt }) {
    const last = this.points.at(-1);
    if (!last) {
      return;
    }
    const { pen, width, height } = this.clear(this.unit, "time");
    const right = end ?? last.t;
    const shown = this.points.filter((point) => point.t >= right - span && point.t <= right);
    this.labels.forEach((label, k) => {
      const value = (shown.at(-1) ?? last).ys[k];
      label.textContent = `${this.columns[k]} ${value === null ? "–" : value.toFixed(3)}`;
    });
    const [low, high] = range(shown);
    const x = (t) => MARGIN.left + ((t - right + span) / span) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => MARGIN.top + ((high - value) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    this.drawGrid(pen, { width, height, low, high, x, y, span, right, zero: end === null ? ["now", last.t] : ["pause", pausedAt] });
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    this.columns.forEach((_, k) => {
      pen.strokeStyle = COLOURS[k % COLOURS.length];
      pen.beginPath();
      let before = null;
      for (const point of shown) {
        const value = point.ys[k];
        if (value !== null) {
          pen[this.isJoined(before, point.t, value) ? "lineTo" : "moveTo"](x(point.t), y(value));
        }
        before = value === null ? null : { t: point.t, value };
      }
      pen.stroke();
    });
  }

  // Do not connect points across a gap, or where an angle wraps from 180 to -180 degrees.
  isJoined(before, t, value) {
    return before !== null && t - before.t <= GAP_S && !(this.isAngle && Math.abs(value - before.value) > WRAP_DEG);
  }

  drawGrid(pen, { width, height, low, high, x, y, span, right, zero: [zero, zeroT] }) {
    const step = niceStep((high - low) / 4);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    pen.textAlign = "right";
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      line(pen, MARGIN.left, y(value), width - MARGIN.right, y(value));
      pen.fillText((Math.abs(value) < step / 2 ? 0 : value).toFixed(digits), MARGIN.left - 6, y(value));
    }
    pen.textAlign = "center";
    for (let k = 0; k <= 5; k += 1) {
      const t = right - (k * span) / 5;
      const at = x(t);
      line(pen, at, MARGIN.top, at, height - MARGIN.bottom);
      const age = Number((t - zeroT).toFixed(span < 2 ? 2 : 1));
      const text = age === 0 ? zero : `${age < 0 ? "−" : "+"}${Math.abs(age)} s`;
      pen.fillText(text, Math.min(at, width - 22), height - MARGIN.bottom / 2);
    }
  }
}

export function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function range(points) {
  let low = Infinity;
  let high = -Infinity;
  for (const { ys } of points) {
    for (const value of ys) {
      if (value !== null) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (low > high) {
    return [-1, 1];
  }
  const margin = Math.max((high - low) * 0.08, Math.abs(high) * 1e-3, 1e-3);
  return [low - margin, high + margin];
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough) ?? 10;
  return factor * power;
}
