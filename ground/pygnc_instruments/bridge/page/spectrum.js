// Spectra of all readings, and their history as a waterfall, on the canvas of a plot.
// Source: Welch, The Use of Fast Fourier Transform for the Estimation of Power Spectra, IEEE AU-15, 1967.

import { COLOURS, MARGIN, line } from "./plot.js";

const READINGS = 1024;
const LEAST_READINGS = 64;
const ROWS = 60;
const LEAST = 1e-12;
const DECADES = 6;

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

export class Spectrum {
  constructor(plot) {
    this.plot = plot;
    this.unit = `${plot.unit}/√Hz`;
    this.rows = [];
    this.newest = null;
  }

  // Add the spectrum of the newest readings, a row of the waterfall.
  add(readings) {
    const found = readings.densities(this.plot.columns);
    if (found === null) {
      return;
    }
    this.newest = found;
    const power = found.frequencies.map((_, k) => found.curves.reduce((sum, curve) => sum + curve[k] ** 2, 0));
    this.rows.unshift(power.map((value) => 0.5 * Math.log10(Math.max(value, LEAST ** 2))));
    this.rows.length = Math.min(this.rows.length, ROWS);
  }

  draw(isWaterfall) {
    if (!this.newest) {
      return;
    }
    const area = this.plot.clear(this.unit, isWaterfall ? "frequency and time" : "frequency");
    const last = this.newest.frequencies.at(-1);
    const x = (frequency) => MARGIN.left + (frequency / last) * (area.width - MARGIN.left - MARGIN.right);
    if (isWaterfall) {
      this.drawRows(area);
    } else {
      this.drawCurves(area, x);
    }
    drawFrequencies(area, x, last);
  }

  drawCurves({ pen, width, height }, x) {
    const { frequencies, curves } = this.newest;
    const levels = curves.map((curve) => curve.map((value) => Math.log10(Math.max(value, LEAST))));
    const high = Math.ceil(Math.max(...levels.flat()));
    const low = Math.max(high - DECADES, Math.floor(Math.min(...levels.flat())), Math.log10(LEAST));
    const span = Math.max(high - low, 1);
    const y = (level) => MARGIN.top + Math.min((high - level) / span, 1) * (height - MARGIN.top - MARGIN.bottom);
    pen.textAlign = "right";
    for (let level = low; level <= high; level += 1) {
      line(pen, MARGIN.left, y(level), width - MARGIN.right, y(level));
      pen.fillText(`1e${level}`, MARGIN.left - 6, y(level));
    }
    pen.fillText(this.unit, width - MARGIN.right - 6, MARGIN.top + 10);
    pen.lineWidth = 1.5;
    levels.forEach((curve, number) => {
      pen.strokeStyle = COLOURS[number % COLOURS.length];
      pen.beginPath();
      curve.forEach((level, k) => pen.lineTo(x(frequencies[k]), y(level)));
      pen.stroke();
    });
  }

  drawRows({ pen, width, height }) {
    const levels = this.rows.flat();
    const low = levels.reduce((least, level) => Math.min(least, level), Infinity);
    const span = Math.max(levels.reduce((most, level) => Math.max(most, level), -Infinity) - low, 1e-9);
    const rowHeight = (height - MARGIN.top - MARGIN.bottom) / ROWS;
    this.rows.forEach((row, number) => {
      const step = (width - MARGIN.left - MARGIN.right) / row.length;
      row.forEach((level, k) => {
        pen.fillStyle = `hsl(212 65% ${97 - (82 * (level - low)) / span}%)`;
        pen.fillRect(MARGIN.left + k * step, MARGIN.top + number * rowHeight, step + 0.5, rowHeight + 0.5);
      });
    });
    pen.fillStyle = getComputedStyle(this.plot.figure).getPropertyValue("--faint");
    pen.textAlign = "right";
    pen.fillText("now", MARGIN.left - 6, MARGIN.top + 6);
    pen.fillText("−30 s", MARGIN.left - 6, height - MARGIN.bottom - 6);
  }
}

function drawFrequencies({ pen, width, height }, x, last) {
  pen.textAlign = "center";
  for (let k = 0; k <= 5; k += 1) {
    const frequency = (k * last) / 5;
    const text = `${Number(frequency.toPrecision(3))} Hz`;
    pen.fillText(text, Math.min(Math.max(x(frequency), MARGIN.left), width - 22), height - MARGIN.bottom / 2);
  }
}
