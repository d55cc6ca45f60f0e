// Controls, states at the time, events, and plots of the player.

import { countUntil, SPEEDS } from "./cursor.js";
import { LinePlot } from "./plot.js";
import { element, number } from "./theme.js";
import { utcText } from "./timeline.js";

const OLD_FIX_MS = 300000;
const OPEN_GROUPS = ["Orbit", "Fixes", "Attitude"];

export class Controls {
  constructor(node, cursor, actions) {
    const button = (label, text, keys, action) => element("button", { type: "button", "aria-label": label, title: `${label} (${keys})`, onclick: action }, text);
    this.playing = button("Play", "▶", "space", () => cursor.toggle());
    this.speed = element("select", { "aria-label": "Speed", title: "Speed (, and .)", onchange: () => { cursor.speed = Number(this.speed.value); cursor.tell(); } },
      ...SPEEDS.map(speed => element("option", { value: speed }, `${speed}×`)));
    this.clock = element("output", { class: "clock" });
    node.append(
      button("First record", "|◂", "Home", () => cursor.moveTo(cursor.begin)),
      button("Step back", "◂", "←", () => cursor.step(-1)), this.playing, button("Step", "▸", "→", () => cursor.step(1)),
      button("Last record", "▸|", "End", () => cursor.moveTo(cursor.end)), this.speed, this.clock,
      button("Previous event", "‹ event", "p", () => actions.event(-1)), button("Next event", "event ›", "n", () => actions.event(1)),
      button("Zoom in", "+", "+", () => actions.zoom(0.5)), button("Zoom out", "−", "−", () => actions.zoom(2)), button("Whole recording", "all", "0", () => actions.zoom(null)),
      button("Copy a link to this moment", "link", "l", actions.link),
    );
    cursor.listen(() => this.show(cursor));
  }

  show({ time, isPlaying, speed }) {
    this.clock.textContent = utcText(time);
    const label = isPlaying ? "Pause" : "Play";
    if (this.playing.getAttribute("aria-label") !== label) {
      this.playing.setAttribute("aria-label", label);
      this.playing.title = `${label} (space)`;
      this.playing.textContent = isPlaying ? "❚❚" : "▶";
    }
    this.speed.value = speed;
  }
}

// States at the time, each with a level: nominal, warning, alarm or stale.
export function states(motion, time) {
  const { tables, about } = motion, found = [], { orbit } = tables;
  const row = orbit ? countUntil(orbit.time, time + 0.5) - 1 : -1, position = motion.position(time);
  if (!orbit) found.push(["orbit", "none", "stale"]);
  else if (!position) found.push(["orbit", "unknown", "stale"]);
  else found.push(["orbit", `${number(position.length() / 1000 - 6371)} km high, σ ${number(orbit.sigma[row])} m`, "nominal"]);
  if (row >= 0) {
    const used = !orbit.cause.at(row), isOld = time - orbit.time[row] > OLD_FIX_MS;
    found.push(["last fix", `${number((time - orbit.time[row]) / 1000)} s ago${used ? "" : `, not used: ${orbit.cause.at(row).replaceAll("_", " ")}`}`, isOld ? "stale" : used ? "nominal" : "warning"]);
  }
  const mode = motion.mode(time);
  const level = { fine: "nominal", coarse: "warning" }[mode] ?? "stale";
  found.push(["attitude", motion.attitude(time) ? mode : tables.attitude ? "unknown" : "none", motion.attitude(time) ? level : "stale"]);
  if (tables.attitude) found.push(["light", motion.isEclipse(time) ? "eclipse" : "Sun", "nominal"]);
  for (const of of about.partners) {
    const state = motion.partner(of, time);
    found.push([`partner ${of.id}`, !state ? "unknown" : state.isStale ? "stale" : state.isAmbiguous ? "ambiguous" : "certain", !state || state.isStale ? "stale" : state.isAmbiguous ? "warning" : "nominal"]);
  }
  return found;
}

export class States {
  constructor(node, motion) { Object.assign(this, { node, motion, chips: new Map() }); }

  show(time) {
    for (const [name, text, level] of states(this.motion, time)) {
      let chip = this.chips.get(name);
      if (!chip) {
        chip = element("span", { class: "chip" }, element("b", {}, name), element("span"));
        this.chips.set(name, chip);
        this.node.append(chip);
      }
      if (chip.lastChild.textContent !== text) chip.lastChild.textContent = text;
      if (chip.dataset.level !== level) chip.dataset.level = level;
    }
  }
}

export class EventList {
  constructor(node, cursor, events) {
    Object.assign(this, { node, cursor, events, times: [], items: [], current: -1 });
    node.replaceChildren(element("p", { class: "absent" }, "No events"));
    this.grow();
  }

  // Add the events that are new in the list, which is in order of time.
  grow() {
    const { events, items, node } = this, old = new Map(items.map((item, rank) => [this.shown[rank], item]));
    if (this.shown?.length === events.length && this.shown.at(-1) === events.at(-1)) return;
    items[this.current]?.removeAttribute("aria-current");
    this.items = events.map(event => old.get(event) ?? this.make(event));
    this.times = events.map(({ time }) => time);
    this.shown = [...events];
    this.current = -1;
    if (events.length) node.replaceChildren(...this.items);
  }

  make({ time, level, text }) {
    const { cursor } = this;
    return element("button", { type: "button", "data-level": level, onclick: () => { cursor.pause(); cursor.moveTo(time); } },
      element("time", {}, utcText(time, true)), element("span", { class: "unseen" }, `${level}: `), element("span", {}, text));
  }

  // Mark the last event at or before the time.
  show(time) {
    const rank = countUntil(this.times, time + 0.5) - 1;
    if (rank === this.current) return;
    this.items[this.current]?.removeAttribute("aria-current");
    this.current = rank;
    const item = this.items[rank];
    item?.setAttribute("aria-current", "true");
    if (item) this.node.scrollTop = item.offsetTop - this.node.clientHeight / 2;
  }

  // Move to the next or the previous event.
  go(count) {
    const { times, cursor } = this;
    const rank = count > 0 ? countUntil(times, cursor.time + 0.5) : countUntil(times, cursor.time - 0.5) - 1;
    if (times[rank] === undefined) return;
    cursor.pause();
    cursor.moveTo(times[rank]);
  }
}

// Show numbers by their names below the plots.
export function showCounters(node, counters) {
  const items = Object.entries(counters).map(([name, count]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(count))));
  node.querySelector('[data-part="counters"]').replaceChildren(...items);
  node.querySelector('[data-part="figures"]').hidden = !items.length;
}

// Plots in groups; only visible ones are drawn.
export class PlotGroups {
  constructor(node, { tables, about }, actions) {
    Object.assign(this, { tables, about, plots: [], visible: new Set() });
    const observer = this.observer = new IntersectionObserver(entries => {
      for (const { target, isIntersecting } of entries) {
        const plot = this.plots.find(each => each.node === target);
        if (isIntersecting) this.visible.add(plot); else this.visible.delete(plot);
      }
      actions.onVisible();
    }, { rootMargin: "80px" });
    for (const { title, plots } of about.plots) {
      const grid = element("div", { class: "plots" });
      node.append(element("details", { open: OPEN_GROUPS.includes(title) }, element("summary", {}, title), grid));
      for (const of of plots) {
        const plot = new LinePlot(grid, this.content(of), actions);
        this.plots.push(Object.assign(plot, { declared: of }));
        observer.observe(plot.node);
      }
    }
  }

  // Declared plot with the present columns of its table.
  content(of) {
    const table = this.tables[of.table] ?? { time: [] };
    const band = of.band && table[of.band] ? { sigma: table[of.band], around: table[of.to] } : null;
    const lines = of.lines.map(({ label, column }) => ({ label, values: table[column] ?? [] }));
    return { ...of, times: table.time, lines, band, shades: this.about.eclipses };
  }

  grow() { for (const plot of this.plots) plot.renew(this.content(plot.declared)); }

  close() {
    this.observer.disconnect();
    for (const plot of this.plots) plot.close();
  }

  show(span, time) {
    for (const plot of this.visible) {
      plot.show(...span);
      plot.mark(time);
    }
  }

  redraw() { for (const plot of this.plots) plot.redraw(); }
}
