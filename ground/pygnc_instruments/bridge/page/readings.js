// The newest readings of the device, and the time and span that all plots show: the newest readings, or those of a pause.

import { TimeCursor } from "./cursor.js";

const ROWS_MAX = 8000, SHORTEST_MS = 200, LONGEST_MS = 240000;

export class Readings {
  constructor(columns) {
    this.times = [];
    this.columns = Object.fromEntries(columns.map(column => [column, []]));
  }

  // values: the columns, and the device's time in s.
  add(values) {
    const time = 1000 * values.time;
    if (time < this.times.at(-1)) this.drop(this.times.length); // the device has restarted
    this.times.push(time);
    for (const [column, kept] of Object.entries(this.columns)) kept.push(values[column] ?? NaN);
    if (this.times.length > ROWS_MAX) this.drop(ROWS_MAX / 4);
  }

  drop(count) { for (const kept of [this.times, ...Object.values(this.columns)]) kept.splice(0, count); }
}

export class View {
  // times returns the ascending times of the readings; onChange is called after each change.
  constructor(times, onChange) {
    Object.assign(this, { times, onChange, length: 10000, end: null });
    this.cursor = new TimeCursor(0, 0, times);
  }

  get isPaused() { return this.end !== null; }

  get span() {
    const end = this.end ?? this.cursor.end;
    return [end - this.length, end];
  }

  // Take in new readings, which the cursor follows unless the view is paused.
  grow() {
    const times = this.times();
    if (!times.length) return;
    this.cursor.extend(times[0], times.at(-1));
    this.cursor.moveTo(this.isPaused ? this.cursor.time : this.cursor.end);
  }

  pause() {
    if (this.isPaused) return;
    this.end = this.pausedAt = this.cursor.end;
    this.onChange();
  }

  resume() {
    this.end = null;
    this.grow();
    this.onChange();
  }

  // Pause at a time, or at the reading so many readings later.
  moveTo(time) {
    this.pause();
    this.cursor.moveTo(time);
    this.onChange();
  }

  step(count) {
    this.pause();
    this.cursor.step(count);
    const [start, end] = this.span, { time } = this.cursor;
    if (time < start || time > end) this.end = Math.min(this.cursor.end, time + this.length / 2);
    this.onChange();
  }

  show(length) { this.zoom(length / this.length); }

  // Multiply the length of the span; in a pause, a time stays where it is.
  zoom(factor, time = this.cursor.time) {
    const length = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, this.length * factor));
    if (this.isPaused) this.end = Math.min(this.cursor.end, time + (this.end - time) * length / this.length);
    this.length = length;
    this.onChange();
  }

  // Pause at a span.
  choose(start, end) {
    this.pause();
    this.length = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, end - start));
    this.end = end;
    this.cursor.moveTo(Math.min(end, Math.max(start, this.cursor.time)));
    this.onChange();
  }

  // Move the span by a share of its length; positive shows later readings.
  pan(share) {
    this.pause();
    this.end = Math.min(this.cursor.end, Math.max(this.cursor.begin + this.length / 2, this.end + share * this.length));
    this.cursor.moveTo(Math.min(this.end, this.cursor.time + share * this.length));
    this.onChange();
  }

  // Axis of the plots: seconds before the newest reading, or around the beginning of the pause.
  get across() {
    const text = time => {
      const [zero, at] = this.isPaused ? ["pause", this.pausedAt] : ["now", this.cursor.end];
      const age = Number(((time - at) / 1000).toFixed(this.length < 2000 ? 2 : 1));
      return age === 0 ? zero : `${age < 0 ? "−" : "+"}${Math.abs(age)} s`;
    };
    return {
      size: 30,
      splits: (_, __, start, end) => [0, 1, 2, 3, 4, 5].map(rank => start + rank * (end - start) / 5),
      values: (_, ticks) => ticks.map(text),
    };
  }
}
