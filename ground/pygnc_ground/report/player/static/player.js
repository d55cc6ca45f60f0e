// The player: views, timeline and plots of one recording, linked by one time. The recording may grow.

import { Body } from "./body.js";
import { countUntil, SPEEDS, TimeCursor } from "./cursor.js";
import { Formation } from "./formation.js";
import { Fragment } from "./fragment.js";
import { Globe } from "./globe.js";
import { Motion } from "./orbit.js";
import { Controls, EventList, PlotGroups, States } from "./panels.js";
import { Stage } from "./stage.js";
import { element, onSchemeChange } from "./theme.js";
import { Timeline } from "./timeline.js";

const SHORTEST_MS = 1000, MINUTE_MS = 60000;

export class Player {
  // land: rings around land as text; isLive: the recording grows, and a time at its end follows it.
  constructor(node, recording, land, { isLive = false } = {}) {
    Object.assign(this, { node, recording, land, isLive, span: null, views: {}, ending: new AbortController() });
    const [begin, end] = recording.about.span, { signal } = this.ending;
    this.cursor = new TimeCursor(begin, end, this.records());
    this.motion = new Motion(recording);
    this.makeStage();
    this.timeline = new Timeline(this.part("timeline"), this.cursor, recording);
    this.controls = new Controls(this.part("controls"), this.cursor, { event: count => this.events.go(count), zoom: factor => this.zoom(factor), link: () => this.link() });
    this.states = new States(this.part("states"), this.motion);
    this.events = new EventList(this.part("events"), this.cursor, recording.about.events);
    this.plots = new PlotGroups(this.part("groups"), recording, { onTime: time => { this.cursor.pause(); this.cursor.moveTo(time); }, onSpan: (...ends) => this.show(ends.length ? ends : null), onVisible: () => this.ask() });
    this.fragment = new Fragment(() => this.isFollowing ? null : this.view(), view => this.open(view), signal);
    this.cursor.listen(() => { this.follow(); this.ask(); });
    node.addEventListener("keydown", event => this.press(event), { signal });
    this.sizes = new ResizeObserver(() => this.ask());
    this.sizes.observe(node);
    onSchemeChange(() => this.repaint(), signal);
    this.frames = 0;
  }

  // Times to step along.
  records() {
    const { tables, about } = this.recording;
    const names = ["orbit", "attitude", ...about.partners.map(({ table }) => table)];
    return () => Float64Array.from(new Set(names.flatMap(name => tables[name] ? [...tables[name].time] : []))).sort();
  }

  get isFollowing() { return this.isLive && this.cursor.time >= this.cursor.end; }

  // Show what has been added to the tables.
  grow() {
    const { cursor, isFollowing, recording: { about } } = this;
    cursor.extend(...about.span);
    this.views.globe?.grow();
    this.plots.grow();
    this.events.grow();
    this.timeline.draw();
    cursor.moveTo(isFollowing ? cursor.end : cursor.time);
  }

  // End, so that another player can take the place of this one.
  close() {
    this.ending.abort();
    this.sizes.disconnect();
    this.cursor.pause();
    cancelAnimationFrame(this.asked);
    this.stage?.close();
    this.timeline.close();
    this.plots.close();
    for (const name of ["timeline", "controls", "states", "events", "groups"]) this.part(name).replaceChildren();
    for (const view of this.node.querySelectorAll("[data-view]")) view.replaceWith(withoutListeners(view));
  }

  // First time at which all that is ever known is known.
  firstKnown() {
    const { motion, recording: { tables, about } } = this;
    const firsts = [tables.orbit && [tables.orbit.time, time => motion.position(time)], tables.attitude && [tables.attitude.time, time => motion.attitude(time)], ...about.partners.map(of => tables[of.table] && [tables[of.table].time, time => motion.partner(of, time)])];
    return Math.max(this.cursor.begin, ...firsts.filter(Boolean).map(([times, isKnown]) => times.find(time => isKnown(time)) ?? -Infinity));
  }

  part(name) { return this.node.querySelector(`[data-part="${name}"]`); }

  makeStage() {
    const stage = this.part("stage"), { motion } = this, { about, tables } = this.recording;
    const change = () => {
      this.ask();
      this.fragment.touch();
    };
    const kinds = {
      globe: tables.orbit ? view => new Globe(view, motion, ringsOf(this.land), change) : null,
      body: tables.attitude ? view => new Body(view, motion, change) : null,
      formation: about.partners.some(({ table }) => tables[table]) ? view => new Formation(view, motion, change) : null,
    };
    try {
      this.stage = new Stage(stage);
    } catch (error) {
      stage.replaceChildren(element("p", { class: "absent" }, `This browser cannot draw in three dimensions (WebGL: ${error.message}). The plots below are complete.`));
      return;
    }
    for (const [name, make] of Object.entries(kinds)) {
      const view = stage.querySelector(`[data-view="${name}"]`);
      view.hidden = !make;
      if (make) this.views[name] = make(view);
    }
    this.part("truth").hidden = !tables.truth;
    stage.dataset.views = Object.keys(this.views).length;
    this.stage.views = Object.values(this.views);
    stage.hidden = !this.stage.views.length;
  }

  // Draw with the next frame.
  ask() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = undefined;
      this.draw();
    });
  }

  draw() {
    const { time } = this.cursor;
    this.stage?.draw(time);
    this.states.show(time);
    this.events.show(time);
    this.plots.show(this.span ?? this.padded(), time);
    this.frames += 1;
  }

  padded() {
    const { begin, end } = this.cursor, margin = Math.max(0.01 * (end - begin), 1000);
    return [begin - margin, end + margin];
  }

  repaint() {
    for (const view of this.stage?.views ?? []) view.paint();
    this.timeline.draw();
    this.plots.redraw();
    this.ask();
  }

  show(span) {
    const length = span ? span[1] - span[0] : Infinity;
    if (length < SHORTEST_MS) return;
    this.span = length < this.cursor.end - this.cursor.begin ? span : null;
    this.ask();
    this.fragment.touch();
  }

  zoom(factor) {
    if (factor === null) { this.show(null); return; }
    const [start, end] = this.span ?? this.padded(), length = Math.max(SHORTEST_MS, (end - start) * factor), { time } = this.cursor;
    this.show([time - length / 2, time + length / 2]);
  }

  // Keep the time within the span of the plots, and the address up to date.
  follow() {
    const { time } = this.cursor;
    if (this.span && (time < this.span[0] || time > this.span[1])) {
      const length = this.span[1] - this.span[0], start = time > this.span[1] ? time - 0.1 * length : time - 0.9 * length;
      this.span = [start, start + length];
    }
    if (!this.cursor.isPlaying) this.fragment.touch();
  }

  view() {
    const cameras = {};
    for (const [name, { azimuth, elevation, distance }] of Object.entries(this.views)) cameras[name] = [azimuth, elevation, distance];
    return { time: this.cursor.time, speed: this.cursor.speed, span: this.span, cameras };
  }

  open(view) {
    this.restore(view);
    this.node.scrollIntoView();
  }

  restore({ time, speed, span, cameras }) {
    this.aim(cameras);
    if (SPEEDS.includes(speed)) this.cursor.speed = speed;
    this.span = span;
    this.cursor.moveTo(time);
  }

  aim(cameras) { for (const [name, values] of Object.entries(cameras)) this.views[name]?.place(...values); }

  async link() {
    const note = this.part("note"), address = new URL(location.href);
    history.replaceState(null, "", this.fragment.written = `#${new URLSearchParams({ t: new Date(this.cursor.time).toISOString() })}`.replaceAll("%3A", ":"));
    address.hash = location.hash;
    const isCopied = await navigator.clipboard?.writeText(address.href).then(() => true, () => false);
    note.textContent = isCopied ? "The link to this moment is in the clipboard." : "The address of the page is a link to this moment.";
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const isButton = event.target.tagName === "BUTTON" || event.target.tagName === "SUMMARY";
    const { cursor } = this, move = ms => { cursor.pause(); cursor.moveTo(cursor.time + ms); };
    const acts = {
      " ": isButton ? null : () => cursor.toggle(), Home: () => cursor.moveTo(cursor.begin), End: () => cursor.moveTo(cursor.end),
      ArrowLeft: () => event.shiftKey ? move(-MINUTE_MS) : cursor.step(-1), ArrowRight: () => event.shiftKey ? move(MINUTE_MS) : cursor.step(1),
      ",": () => cursor.changeSpeed(-1), ".": () => cursor.changeSpeed(1), n: () => this.events.go(1), p: () => this.events.go(-1),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.zoom(null), l: () => this.link(),
    };
    const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
    if (!act) return;
    act();
    event.preventDefault();
  }
}

// The same view without what a player has added to it.
function withoutListeners(view) {
  const fresh = view.cloneNode(true);
  for (const label of fresh.querySelectorAll(".label")) label.remove();
  return fresh;
}

// Rings around land in degrees, from hundredths.
function ringsOf(land) {
  const lines = land.trim().split("\n");
  return lines.map(line => line.split(" ").map(pair => pair.split(",").map(value => value / 100)));
}
