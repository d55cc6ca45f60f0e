// Time span that all plots show: the newest readings, or a fixed span after a pause.

const SHORTEST_S = 0.2;
const LONGEST_S = 240;
const STEP = 1.25;

export class View {
  // newest returns the time of the newest reading in s, or null; onChange is called after each change.
  constructor(newest, onChange) {
    this.newest = newest;
    this.onChange = onChange;
    this.span = 10;
    this.end = null;
  }

  get isPaused() {
    return this.end !== null;
  }

  show(span) {
    this.zoom(span / this.span, 1);
  }

  pause() {
    if (!this.isPaused) {
      this.end = this.pausedAt = this.newest();
      this.onChange();
    }
  }

  resume() {
    this.end = null;
    this.onChange();
  }

  // Multiply the span; the time at a fraction of the width (0 left, 1 right) stays where it is.
  zoom(factor, at) {
    const span = Math.min(LONGEST_S, Math.max(SHORTEST_S, this.span * factor));
    if (this.isPaused) {
      this.end += (span - this.span) * (1 - at);
    }
    this.span = span;
    this.keepWithin();
  }

  // Move the span by a fraction of its width; positive shows earlier readings.
  move(fraction) {
    this.pause();
    if (this.isPaused) {
      this.end -= fraction * this.span;
      this.keepWithin();
    }
  }

  keepWithin() {
    if (this.isPaused) {
      this.end = Math.min(this.end, this.newest());
    }
    this.onChange();
  }

  // Wheel zooms, dragging moves, a double click resumes.
  listenTo(element) {
    const fraction = (event) => (event.clientX - element.getBoundingClientRect().left) / element.clientWidth;
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? STEP : 1 / STEP, fraction(event));
    }, { passive: false });
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      this.dragged = fraction(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (this.dragged !== undefined && fraction(event) !== this.dragged) {
        this.move(fraction(event) - this.dragged);
        this.dragged = fraction(event);
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, () => { this.dragged = undefined; });
    }
    element.addEventListener("dblclick", () => this.resume());
  }
}
