// Spectra of all readings, as plots over the frequency, and their history as a waterfall.
// Source: Welch, The Use of Fast Fourier Transform for the Estimation of Power Spectra, IEEE AU-15, 1967.

import { LinePlot } from "./plot.js";
import { axis, css, element, number } from "./theme.js";

const READINGS = 1024;
const LEAST_READINGS = 64;
const ROWS = 60;
const ROW_S = 0.5;
const LEAST = 1e-12;
const DECADES = 6;
const HEIGHT_PX = 168;
const hertz = { size: 30, values: (_, ticks) => ticks.map((tick) => `${number(tick)} Hz`) };

// The newest readings of a second connection, which receives all: those of the plots are thinned, which spectra show as
// frequencies that the device does not have.
export class AllReadings {
  constructor(connection) {
    this.connection = connection;
    this.socket = null;
    this.values = [];
  }

  listen(isWanted) {
    if (isWanted && this.socket === null) {
      this.values = [];
      const socket = this.socket = this.connection.makeSocket("all");
      socket.addEventListener("message", ({ data }) => this.take(JSON.parse(data)));
      socket.addEventListener("close", () => { this.socket = this.socket === socket ? null : this.socket; });
    } else if (!isWanted && this.socket !== null) {
      this.socket.close();
      this.socket = null;
    }
  }

  take({ cmd, data }) {
    if (cmd === "output") {
      this.values.push(data);
      this.values.splice(0, this.values.length - READINGS);
    }
  }

  // Return frequencies in Hz and the densities of columns in their units/√Hz; null while readings are missing.
  densities(columns) {
    const found = this.values.filter((values) => columns.every((column) => Number.isFinite(values[column])));
    const duration = found.length < LEAST_READINGS ? 0 : found.at(-1).time - found[0].time;
    if (!(duration > 0)) {
      return null;
    }
    const rate = (found.length - 1) / duration;
    const size = 2 ** Math.floor(Math.log2(found.length / 4));
    const frequencies = Array.from({ length: size / 2 }, (_, k) => ((k + 1) * rate) / size);
    return { frequencies, curves: columns.map((column) => density(found.map((values) => values[column]), size, rate)) };
  }
}

// Return the one-sided amplitude spectral density at all frequencies but 0, from half-overlapping Hann windows.
export function density(values, size, rate) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const hann = Array.from({ length: size }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / size));
  const scale = 2 / (rate * hann.reduce((sum, weight) => sum + weight ** 2, 0));
  const powers = new Float64Array(size / 2);
  let windows = 0;
  for (let begin = 0; begin + size <= values.length; begin += size / 2) {
    const real = hann.map((weight, k) => weight * (values[begin + k] - mean));
    const imaginary = new Array(size).fill(0);
    transform(real, imaginary);
    powers.forEach((_, k) => { powers[k] += real[k + 1] ** 2 + imaginary[k + 1] ** 2; });
    windows += 1;
  }
  return Array.from(powers, (power) => Math.sqrt((scale * power) / windows));
}

// Fourier transform in place; the length is a power of two.
function transform(real, imaginary) {
  const size = real.length;
  for (let k = 1, reversed = 0; k < size; k += 1) {
    let bit = size >> 1;
    for (; reversed & bit; bit >>= 1) {
      reversed ^= bit;
    }
    reversed ^= bit;
    if (k < reversed) {
      [real[k], real[reversed]] = [real[reversed], real[k]];
      [imaginary[k], imaginary[reversed]] = [imaginary[reversed], imaginary[k]];
    }
  }
  for (let length = 2; length <= size; length *= 2) {
    for (let k = 0; k < length / 2; k += 1) {
      const cosine = Math.cos((2 * Math.PI * k) / length);
      const sine = -Math.sin((2 * Math.PI * k) / length);
      for (let even = k; even < size; even += length) {
        const odd = even + length / 2;
        const x = real[odd] * cosine - imaginary[odd] * sine;
        const y = real[odd] * sine + imaginary[odd] * cosine;
        [real[odd], imaginary[odd]] = [real[even] - x, imaginary[even] - y];
        real[even] += x;
        imaginary[even] += y;
      }
    }
  }
}

// Plot of the newest spectrum of columns.
export class SpectrumPlot {
  constructor(parent, { title, unit, columns }) {
    const lines = columns.map((label) => ({ label, values: [] }));
    this.of = { title: `${title}, spectrum`, unit: `${unit}/√Hz`, times: [], lines, logarithmic: true, gap: Infinity, across: hertz };
    this.columns = columns;
    this.plot = new LinePlot(parent, this.of, { onTime: (frequency) => this.plot.mark(frequency), onSpan: () => {} });
  }

  add(readings) {
    const found = readings.densities(this.columns);
    if (found === null) {
      return;
    }
    const least = Math.max(Math.max(...found.curves.flat()) * 10 ** -DECADES, LEAST);
    const lines = this.columns.map((label, k) => ({ label, values: found.curves[k].map((value) => Math.max(value, least)) }));
    this.of = { ...this.of, times: found.frequencies, lines };
    this.plot.renew(this.of);
  }

  draw() {
    if (this.of.times.length) {
      this.plot.show(0, this.of.times.at(-1));
    }
  }

  redraw() { this.plot.redraw(); }

  close() { this.plot.close(); }
}

// History of the spectra of columns: the newest in the first row, dense frequencies in the colour of lines.
export class Waterfall {
  constructor(parent, { title, columns }) {
    Object.assign(this, { columns, rows: [], frequencies: [], plot: null });
    this.box = element("div", { class: "canvas", role: "img", "aria-label": `${title}, waterfall` });
    parent.append(element("figure", { class: "plot" }, element("figcaption", {}, element("b", {}, `${title}, waterfall`)), this.box));
  }

  add(readings) {
    const found = readings.densities(this.columns);
    if (found === null) {
      return;
    }
    const power = found.frequencies.map((_, k) => found.curves.reduce((sum, curve) => sum + curve[k] ** 2, 0));
    this.rows.unshift(power.map((value) => 0.5 * Math.log10(Math.max(value, LEAST ** 2))));
    this.rows.length = Math.min(this.rows.length, ROWS);
    this.frequencies = found.frequencies;
  }

  draw() {
    const width = this.box.clientWidth;
    if (!this.rows.length || !width) {
      return;
    }
    this.plot ??= this.make(width);
    if (this.plot.width !== width) {
      this.plot.setSize({ width, height: HEIGHT_PX });
    }
    this.plot.setData([this.frequencies, this.frequencies.map(() => null)]);
  }

  make(width) {
    const ages = (_, ticks) => ticks.map((tick) => (tick === 0 ? "now" : `−${tick} s`));
    return new uPlot({
      width, height: HEIGHT_PX, padding: [10, 18, 0, 0], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: () => [0, this.frequencies.at(-1)] }, y: { dir: -1, range: [0, ROWS * ROW_S] } },
      axes: [axis({ space: 64, ...hertz }), axis({ size: 54, values: ages, grid: { show: false } })],
      series: [{}, { points: { show: false } }],
      hooks: { drawClear: [(plot) => this.paint(plot)] },
    }, [this.frequencies, this.frequencies.map(() => null)], this.box);
  }

  paint({ ctx: pen, bbox: { left, top, width, height } }) {
    const levels = this.rows.flat();
    const low = levels.reduce((least, level) => Math.min(least, level), Infinity);
    const span = Math.max(levels.reduce((most, level) => Math.max(most, level), -Infinity) - low, 1e-9);
    pen.save();
    pen.fillStyle = css("--filter");
    this.rows.forEach((row, rank) => row.forEach((level, k) => {
      pen.globalAlpha = 0.06 + (0.94 * (level - low)) / span;
      const [x, y] = [left + (k * width) / row.length, top + (rank * height) / ROWS];
      pen.fillRect(x, y, width / row.length + 0.5, height / ROWS + 0.5);
    }));
    pen.restore();
  }

  redraw() { this.plot?.redraw(); }

  close() { this.plot?.destroy(); }
}
