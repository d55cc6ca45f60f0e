// Start of the player on a page of `pygnc view`: it follows the feed of the server and reconnects where it stopped.

import { read } from "./fragment.js";
import { GrowingTables } from "./growing.js";
import { showCounters } from "./panels.js";
import { Player } from "./player.js";
import { unpack } from "./unpack.js";

const RETRY_MS = 1000, RETRY_MAX_MS = 8000, WATCH_MS = 5000, ASLEEP_MS = 20000, EVENTS_MAX = 1000;
const LEVELS = { following: "nominal", ended: "nominal", waiting: "stale", silent: "warning", lost: "alarm" };

class Feed {
  constructor(land) {
    Object.assign(this, { land, node: document.getElementById("player"), identity: "", number: 0, retry: RETRY_MS, taken: Promise.resolve(), wanted: read(location.hash), player: null });
    this.node.dataset.state = "empty";
    this.part("present").addEventListener("click", () => this.player?.cursor.moveTo(this.player.cursor.end));
    this.watch();
    this.connect();
  }

  part(name) { return document.querySelector(`[data-part="${name}"]`); }

  connect() {
    const address = new URL("/feed", location.href);
    address.protocol = "ws:";
    address.search = new URLSearchParams({ feed: this.identity, after: this.number });
    const socket = this.socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.retry = RETRY_MS; };
    socket.onmessage = ({ data }) => { this.taken = this.taken.then(() => this.take(data)).catch(error => this.fail(error)); };
    socket.onclose = () => {
      this.say("lost", "disconnected from pygnc view; connecting again");
      this.waiting = setTimeout(() => this.connect(), this.retry);
      this.retry = Math.min(2 * this.retry, RETRY_MAX_MS);
    };
  }

  // A computer that has slept may have lost the connection without being told.
  watch() {
    let last = Date.now();
    setInterval(() => {
      const now = Date.now(), isAwake = now - last < ASLEEP_MS;
      last = now;
      if (!isAwake) this.socket.close();
    }, WATCH_MS);
  }

  async take(data) {
    const { tables, about } = await unpack(data);
    if (!about.after || about.feed !== this.identity) this.begin(about);
    this.number = about.number;
    this.growing.append(tables);
    this.merge(about);
    this.show();
    this.say(...about.state);
  }

  begin({ feed, title }) {
    this.identity = feed;
    this.growing = new GrowingTables();
    this.about = { events: [], eclipses: [], partners: [], plots: [], thinned: [] };
    this.player?.close();
    this.player = null;
    this.node.dataset.state = "empty";
    document.title = `${title || "waiting"} · pygnc view`;
    this.part("title").textContent = title || "No run yet";
  }

  merge({ events, eclipses, plots, partners, problems = [], damaged = [], version = "", counters = {} }) {
    const { about } = this;
    about.events.push(...events);
    if (events.length) about.events.sort((one, other) => one.time - other.time);
    about.events.splice(0, about.events.length - EVENTS_MAX);
    about.eclipses.splice(0, Infinity, ...eclipses);
    about.span = this.growing.span();
    if (plots) Object.assign(about, { plots, partners, isNew: true });
    const remarks = [version, ...problems, damaged.length ? `Damaged input: ${damaged.join(", ")}` : ""].filter(Boolean);
    this.part("problems").textContent = remarks.join(" · ");
    showCounters(this.node, counters);
  }

  show() {
    const { about, growing: { tables } } = this;
    if (!about.span) return;
    if (!this.player || about.isNew) this.make({ about, tables });
    else this.player.grow();
    if (this.wanted && this.wanted.time <= this.player.cursor.end) {
      this.player.open(this.wanted);
      this.wanted = null;
    }
  }

  // A new player for new tables, at the same view.
  make(recording) {
    const { player } = this, view = player && !player.isFollowing ? player.view() : null, cameras = player?.view().cameras;
    const hadFocus = this.node.contains(document.activeElement);
    player?.close();
    recording.about.isNew = false;
    this.node.dataset.state = "ready";
    this.player = globalThis.player = new Player(this.node, recording, this.land, { isLive: true });
    if (cameras) this.player.aim(cameras);
    if (view) this.player.restore(view); else this.player.cursor.moveTo(this.player.cursor.end);
    this.player.cursor.listen(() => { this.part("present").hidden = this.player.isFollowing; });
    if (!player || hadFocus) this.node.focus({ preventScroll: true });
  }

  say(key, text) {
    const chip = this.part("link");
    chip.dataset.level = LEVELS[key] ?? "stale";
    chip.dataset.key = key;
    chip.lastChild.textContent = text;
    if (!this.player) this.node.querySelector('[data-part="note"]').textContent = text;
    else this.node.querySelector('[data-part="note"]').textContent = "";
  }

  fail(error) {
    this.say("lost", `this page does not work in this browser: ${error.message}`);
    throw error;
  }
}

const land = await (await fetch("/coastline.txt")).text();
globalThis.feed = new Feed(land);
