// The time that everything on a page shows: it plays, steps from record to record, and tells its listeners.

export const SPEEDS = [1, 2, 5, 10, 20, 60, 100, 200, 500, 1000];

// Number of the ascending values that are at most `value`.
export function countUntil(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}

export class TimeCursor {
  // Times in ms; records: function that returns the ascending times to step along.
  constructor(begin, end, records) {
    Object.assign(this, { begin, end, recordsNow: records, time: begin, speed: 60, isPlaying: false, listeners: [] });
  }

  get records() { return this.known ??= this.recordsNow(); }

  // Continue with a longer span and further records.
  extend(begin, end) { Object.assign(this, { begin, end, known: undefined }); }

  listen(action) { this.listeners.push(action); }

  tell() { for (const action of this.listeners) action(this); }

  moveTo(time) {
    this.time = Math.min(this.end, Math.max(this.begin, time));
    this.tell();
  }

  // Move by records; a time between two records first moves to one of them.
  step(count) {
    const before = countUntil(this.records, this.time - 0.5), until = countUntil(this.records, this.time + 0.5);
    const rank = count > 0 ? until + count - 1 : before + count;
    this.pause();
    if (this.records.length) this.moveTo(this.records[Math.min(this.records.length - 1, Math.max(0, rank))]);
  }

  play() {
    if (this.isPlaying) return;
    if (this.time >= this.end) this.time = this.begin;
    this.isPlaying = true;
    let last = performance.now();
    const advance = now => {
      if (!this.isPlaying) return;
      const passed = Math.max(0, Math.min(now - last, 1000)) * this.speed; // a page in the background does not leap
      last = now;
      if (this.time + passed >= this.end) this.isPlaying = false;
      this.moveTo(this.time + passed);
      if (this.isPlaying) requestAnimationFrame(advance);
    };
    requestAnimationFrame(advance);
    this.tell();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.tell();
  }

  toggle() { if (this.isPlaying) this.pause(); else this.play(); }

  changeSpeed(steps) {
    const rank = SPEEDS.indexOf(this.speed);
    this.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, rank + steps))];
    this.tell();
  }
}
