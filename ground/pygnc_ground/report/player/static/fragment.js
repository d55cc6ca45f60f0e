// The view in the fragment of the address, so that a copied address opens the same moment.

const WRITE_AFTER_MS = 400;

function utc(ms) { return new Date(Math.round(ms)).toISOString(); }

// View in a fragment: time, speed, span of the plots, cameras by name; null for other fragments.
export function read(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, "")), time = Date.parse(found.get("t") ?? "");
  if (!Number.isFinite(time)) return null;
  const span = (found.get("span") ?? "").split("~").map(text => Date.parse(text));
  const cameras = {};
  for (const name of ["globe", "body", "formation"]) {
    const values = (found.get(name) ?? "").split(",").map(Number);
    if (values.length === 3 && values.every(Number.isFinite)) cameras[name] = values;
  }
  const isSpan = span.length === 2 && span[0] < span[1];
  return { time, speed: Number(found.get("x")) || null, span: isSpan ? span : null, cameras };
}

export function write({ time, speed, span, cameras }) {
  const parts = [`t=${utc(time)}`, `x=${speed}`];
  if (span) parts.push(`span=${span.map(utc).join("~")}`);
  for (const [name, values] of Object.entries(cameras)) parts.push(`${name}=${values.map(value => value.toFixed(2)).join(",")}`);
  return `#${parts.join("&")}`;
}

// Keep the address up to date; `view` returns the view, or null for an address without one.
export class Fragment {
  constructor(view, onView, signal) {
    this.view = view;
    addEventListener("hashchange", () => {
      const found = location.hash === this.written ? null : read(location.hash);
      if (found) onView(found);
    }, { signal });
    signal.addEventListener("abort", () => clearTimeout(this.waiting));
  }

  touch() {
    this.waiting ??= setTimeout(() => {
      this.waiting = undefined;
      const view = this.view();
      this.written = view ? write(view) : "";
      if (location.hash !== this.written) history.replaceState(null, "", this.written || location.pathname);
    }, WRITE_AFTER_MS);
  }
}
