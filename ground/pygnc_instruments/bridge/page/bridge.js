// The bridge's page: plots, log, fields and firmware of the device.

import { Attitude } from "./attitude.js";
import { Connection } from "./messages.js";
import { LinePlot } from "./plot.js";
import { Readings, View } from "./readings.js";
import { AllReadings, SpectrumPlot, Waterfall } from "./spectrum.js";
import { SortedTable } from "./tables.js";
import { element, onSchemeChange } from "./theme.js";

const STATUS_MS = 1000;
const SPECTRA_MS = 500;
const MESSAGE_MS = 15000;
const MAX_MESSAGES = 5;
const GAP_MS = 1000;
const WRAP_DEG = 300;
const HINTS = {
  time: "Click: values at a time. Drag: zoom to a span. Wheel: zoom. Double click: newest readings. Keys: ← → reading, + − zoom, space pause, End newest.",
  spectrum: "Amplitude spectral density of the newest 1024 readings. Click: values at a frequency.",
  waterfall: "Spectra of the last 30 s; strong colour: large amplitude.",
};
const LEVELS = { streaming: "nominal", silent: "warning", searching: "warning", ended: "warning", connecting: "stale" };
const NO_LIBRARY = "This server has no library for plots. In a checkout, run “make frontend” and start the bridge again.";
const BAUD_QUESTIONS = {
  SF: (rate) => `Change the line to ${rate} now? The bridge follows. If the line cannot carry this rate, the device is`
    + " lost until it is switched off and on.",
  WF: (rate) => `Let the device use ${rate} from its next power-up on? Programs with a fixed rate will not find it.`,
};
const byId = (id) => document.getElementById(id);
const connection = new Connection(receive, showConnection);

let description = { packets: {}, fields: [] };
let device = {};
let graphs = [];
let readings = new Readings([]);
let plots = [];
let attitude = null;
let plotted = "";
let isDirty = false;
let readingCount = 0;
const rows = new Map();

function receive({ cmd, data, err }) {
  if (err) {
    showMessage(err.message);
    return;
  }
  const listeners = { output: showOutput, device: showDevice, log: showLog, upgrade_progress: showUpgrade };
  listeners[cmd]?.(data);
  if (cmd === "upgrade_progress" && data.state !== "running") {
    refresh();
  }
}

function showConnection(state) {
  showTokenForm(state === "token", "This bridge requires a valid token");
  if (state === "open") {
    refresh();
  } else {
    device = {};
    showState(state === "token" ? "token required" : "bridge disconnected", "closed");
  }
}

function showTokenForm(isShown, reason) {
  byId("token-form").hidden = !isShown;
  byId("token-reason").textContent = reason;
}

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    showMessage(error.message);
    return null;
  }
}

function showMessage(text, kind = "error") {
  const item = element("li", { "data-kind": kind }, element("time", {}, new Date().toLocaleTimeString()), text);
  byId("messages").prepend(item);
  while (byId("messages").children.length > MAX_MESSAGES) {
    byId("messages").lastChild.remove();
  }
  setTimeout(() => item.remove(), MESSAGE_MS);
}

// ---- device and state

async function refresh() {
  await attempt(async () => {
    description = await connection.ask("describe");
    const status = await connection.ask("status");
    showStatus(status);
    showLog(status.log);
    if (status.upgrade) {
      showUpgrade(status.upgrade);
    }
    const file = `~/.pygnc/bridge-${location.port}.json`;
    showTokenForm(!status.may_command, `This page may only read; commands need the token in ${file}`);
    if (status.may_command) {
      await showFiles();
    }
    await showFields();
  });
}

function showState(text, state) {
  byId("state").textContent = text;
  byId("state").parentElement.dataset.level = LEVELS[state] ?? "alarm";
}

function showDevice(data) {
  const isNew = data.connected && (!device.connected || device.id !== data.id || device.url !== data.url);
  const isGone = !data.connected && device.connected;
  device = data;
  byId("unit").textContent = data.id ? `${data.id} at ${data.url}` : data.url || "no device";
  showState(data.state, data.state);
  if (isGone || (!data.connected && data.reason)) {
    showMessage(data.reason);
  }
  if (isNew) {
    rows.clear();
    byId("fields").tBodies[0].replaceChildren();
    showMessage(`${data.id || "the device"} is connected`, "note");
    refresh();
  }
}

function showStatus(status) {
  const { statistics } = status;
  if (status.device.state !== device.state || status.device.id !== device.id) {
    device = status.device;
    byId("unit").textContent = device.id ? `${device.id} at ${device.url}` : device.url || "no device";
    showState(device.state, device.state);
  }
  device.packet = status.device.packet;
  byId("packet").textContent = device.packet || "–";
  byId("thinned").textContent = status.thinned;
  byId("dropped").textContent = status.dropped;
  if (statistics) {
    byId("rate").textContent = statistics.rate_hz && device.state === "streaming" ? `${statistics.rate_hz.toFixed(1)} Hz` : "–";
    byId("damaged").textContent = Object.values(statistics.damaged).reduce((sum, count) => sum + count, 0);
    byId("lost").textContent = statistics.lost_readings;
  }
}

setInterval(async () => {
  byId("shown").textContent = `${Math.round((readingCount * 1000) / STATUS_MS)} Hz`;
  readingCount = 0;
  if (connection.socket?.readyState === WebSocket.OPEN) {
    const status = await connection.ask("status").catch(() => null);
    if (status) {
      showStatus(status);
    }
  }
}, STATUS_MS);

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.token = byId("token").value;
  byId("token").value = "";
  connection.reopen();
});

// ---- live

function showOutput(values) {
  const { packet } = device;
  if (packet !== plotted && description.packets[packet]) {
    const isSent = (column) => column in values;
    const { graphs: declared, attitude: columns } = description.packets[packet];
    const found = declared.filter((graph) => graph.columns.every(isSent));
    if (!found.length) {
      return;
    }
    plotted = packet;
    graphs = found;
    readings = new Readings(graphs.flatMap((graph) => graph.columns));
    makePlots(columns.length && columns.every(isSent) ? columns : null);
    view.resume();
  }
  if (!Object.keys(readings.columns).every((column) => column in values)) {
    return;  // the reading is of another packet
  }
  readingCount += 1;
  isDirty = true;
  attitude?.add(values);
  readings.add(values);
}

// Make the plots of the mode, and the drawing of the attitude from its columns if there are any.
function makePlots(columns) {
  plots.forEach((plot) => plot.close());
  byId("plots").replaceChildren();
  attitude = columns ? new Attitude(columns, byId("plots")) : null;
  const make = { time: TimePlot, spectrum: SpectrumPlot, waterfall: Waterfall }[byId("mode").value];
  plots = globalThis.uPlot ? graphs.map((graph) => new make(byId("plots"), graph)) : [];
  byId("hint").textContent = globalThis.uPlot ? HINTS[byId("mode").value] : NO_LIBRARY;
  isDirty = true;
}

function drawAll() {
  if (isDirty) {
    isDirty = false;
    attitude?.draw();
    view.grow();
    plots.forEach((plot) => plot.draw());
  }
  requestAnimationFrame(drawAll);
}
requestAnimationFrame(drawAll);

const allReadings = new AllReadings(connection);
setInterval(() => {
  const isShown = byId("mode").value !== "time";
  allReadings.listen(isShown && connection.socket?.readyState === WebSocket.OPEN);
  if (isShown) {
    plots.forEach((plot) => plot.add(allReadings));
    isDirty = true;
  }
}, SPECTRA_MS);
byId("mode").addEventListener("change", () => {
  for (const control of byId("time-controls").querySelectorAll("button, select")) {
    control.disabled = byId("mode").value !== "time";
  }
  makePlots(attitude?.columns);
});

for (const [id, cmd] of [["start-stream", "start_stream"], ["stop-stream", "stop_stream"]]) {
  byId(id).addEventListener("click", () => attempt(() => connection.ask(cmd)));
}

const view = new View(() => readings.times, () => {
  isDirty = true;
  byId("pause").textContent = view.isPaused ? "Resume" : "Pause";
  byId("pause").setAttribute("aria-pressed", view.isPaused);
  const custom = byId("span").querySelector("[hidden]");
  custom.textContent = `${Number((view.length / 1000).toPrecision(2))} s`;
  custom.value = String(view.length / 1000);
  byId("span").value = String(view.length / 1000);
});
const actions = {
  onTime: (time) => view.moveTo(time),
  onSpan: (...ends) => (ends.length ? view.choose(...ends) : view.resume()),
  onWheel: (factor, time) => view.zoom(factor, time),
};

// Plot of a graph over time.
class TimePlot {
  constructor(parent, { title, unit, columns }) {
    this.of = { title, unit: unit || "1", gap: GAP_MS, wrap: unit === "deg" ? WRAP_DEG : Infinity, across: view.across };
    this.columns = columns;
    this.plot = new LinePlot(parent, this.content(), actions);
  }

  content() {
    return { ...this.of, times: readings.times, lines: this.columns.map((label) => ({ label, values: readings.columns[label] })) };
  }

  draw() {
    this.plot.renew(this.content());
    this.plot.show(...view.span);
    this.plot.mark(view.cursor.time);
  }

  redraw() { this.plot.redraw(); }

  close() { this.plot.close(); }
}

byId("pause").addEventListener("click", () => (view.isPaused ? view.resume() : view.pause()));
for (const [id, act] of [
  ["zoom-in", () => view.zoom(0.5)], ["zoom-out", () => view.zoom(2)],
  ["earlier", () => view.pan(-0.5)], ["later", () => view.pan(0.5)],
]) {
  byId(id).addEventListener("click", act);
}
byId("span").addEventListener("change", () => view.show(1000 * Number(byId("span").value)));
byId("plots").addEventListener("keydown", (event) => {
  const acts = {
    ArrowLeft: () => view.step(-1), ArrowRight: () => view.step(1), End: () => view.resume(),
    "+": () => view.zoom(0.5), "=": () => view.zoom(0.5), "-": () => view.zoom(2),
    " ": () => (view.isPaused ? view.resume() : view.pause()),
  };
  if (byId("mode").value === "time" && acts[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
    acts[event.key]();
    event.preventDefault();
  }
});
onSchemeChange(() => {
  plots.forEach((plot) => plot.redraw());
  isDirty = true;
});
addEventListener("resize", () => { isDirty = true; });

// ---- log

function showLog(log) {
  byId("start-log").disabled = log.active;
  byId("stop-log").disabled = !log.active;
  byId("log-state").textContent = log.active ? `logging to ${log.file}` : "not logging";
  if (log.error) {
    showMessage(log.error);
  }
}

byId("log-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const request = {
    fileName: byId("log-name").value, id: byId("log-user").value, access_token: byId("log-token").value, storage: byId("log-storage").value,
  };
  byId("log-token").value = "";
  attempt(() => connection.ask("start_log", request));
});

byId("stop-log").addEventListener("click", () => attempt(async () => {
  await connection.ask("stop_log");
  await showFiles();
}));

const files = new SortedTable(byId("files"), [
  { title: "File", sort: (file) => file.name, cell: (file) => file.name },
  { title: "Bytes", kind: "number", sort: (file) => file.bytes, cell: (file) => String(file.bytes) },
  { title: "Modified", first: -1, sort: (file) => Date.parse(file.modified), cell: (file) => new Date(file.modified).toLocaleString() },
  { title: element("span", { class: "unseen" }, "Actions"), kind: "actions", cell: (file) => button("Save", () => attempt(async () => download(await connection.ask("load_file", { name: file.name })))) },
], { column: 2, direction: -1 });

async function showFiles() {
  const found = await connection.ask("list_files");
  byId("files").hidden = found.length === 0;
  files.show(found);
}

function download({ name, text }) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- fields

async function showFields() {
  if (!description.fields.length || !device.connected) {
    rows.clear();
    byId("fields").tBodies[0].replaceChildren();
    return;
  }
  const [inEffect, stored] = [new Map(await connection.ask("GF")), new Map(await connection.ask("RF"))];
  for (const field of description.fields) {
    const values = [inEffect.get(field.id), stored.get(field.id)];
    if (values.some((value) => value !== undefined)) {
      showField(field, values);
    }
  }
}

// Reading the values again must not reset what the user has chosen in a row.
function showField(field, values) {
  if (!rows.has(field.id)) {
    rows.set(field.id, fieldRow(field, values[0]));
    byId("fields").tBodies[0].append(rows.get(field.id));
  }
  values.forEach((value, k) => { rows.get(field.id).cells[2 + k].textContent = describeValue(field, value); });
}

function fieldRow(field, inEffect) {
  const name = element("span", {}, field.name, element("small", {}, field.meaning));
  const choice = field.writable ? chooser(field, inEffect) : "";
  const change = (cmd) => attempt(async () => {
    const value = bitsOf(field, Number(choice.value));
    if (field.name === "baud_code" && !confirm(BAUD_QUESTIONS[cmd](field.legal[value]))) {
      return;
    }
    await connection.ask(cmd, [[field.id, value]]);
    await showFields();
    showMessage(`${field.name}: ${describeValue(field, value)} was ${cmd === "SF" ? "set" : "written"}`, "note");
  });
  const buttons = field.writable ? [button("Set", () => change("SF")), " ", button("Write", () => change("WF"))] : [];
  const cells = [element("td", { class: "number" }, String(field.id)), ...[[name], [], [], [choice]].map((of) => element("td", {}, ...of))];
  return element("tr", { "data-field": field.name }, ...cells, element("td", { class: "actions" }, ...buttons));
}

function describeValue(field, value) {
  if (value === undefined) {
    return "–";
  }
  const text = field.is_packet_type ? String.fromCharCode(value >> 8, value & 255)
    : field.step ? `${physical(field, value).toFixed(5)} ${field.unit}`.trim() : field.legal?.[value] ?? "";
  return text ? `${value} (${text})` : String(value);
}

// Physical value of the bits of a field, and the bits of a physical value; bits are both if a field has no unit.
function physical(field, bits) {
  return field.step ? (field.is_signed && bits > 0x7fff ? bits - 0x10000 : bits) * field.step : bits;
}

function bitsOf(field, value) {
  return field.step ? Math.round(value / field.step) & 0xffff : value;
}

function chooser(field, value) {
  const types = Object.keys(description.packets).filter((name) => name.length === 2);
  const options = field.is_packet_type
    ? types.map((name) => [name.charCodeAt(0) * 256 + name.charCodeAt(1), name])
    : Object.entries(field.legal ?? {});
  const node = element(options.length ? "select" : "input", { "aria-label": `new value of ${field.name}` });
  if (options.length) {
    node.append(...options.map(([number, text]) => new Option(text || number, number)));
  } else {
    const [low, high] = field.step && field.is_signed ? [-0x8000, 0x7fff] : [0, 0xffff];
    const step = field.step || 1;
    Object.assign(node, { type: "number", min: low * step, max: high * step, step: field.step ? "any" : 1 });
    node.title = field.step ? `in ${field.unit || "units of 1"}, in steps of ${step.toPrecision(3)}` : "";
  }
  node.value = node.type === "number" && value !== undefined ? Number(physical(field, value).toFixed(5)) : value;
  return node;
}

byId("read-fields").addEventListener("click", () => attempt(showFields));

// ---- firmware

byId("firmware-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const bytes = new Uint8Array(await byId("firmware-file").files[0].arrayBuffer());
    const image = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const request = { image, confirm: byId("firmware-confirm").checked, recover: byId("firmware-recover").checked };
    byId("firmware-confirm").checked = false;
    await connection.ask("upgrade", request);
  });
});

function showUpgrade(progress) {
  const bar = byId("firmware-progress");
  const isRunning = progress.state === "running";
  bar.hidden = !isRunning;
  byId("start-upgrade").disabled = isRunning;
  if (isRunning) {
    bar.max = progress.total_bytes;
    bar.value = progress.written_bytes;
    byId("firmware-state").textContent = `${progress.phase}: ${progress.written_bytes} of ${progress.total_bytes} bytes`;
  } else {
    byId("firmware-state").textContent = progress.state === "done" ? `done: ${progress.after}` : progress.message;
  }
}

function button(text, action) { return element("button", { type: "button", onclick: action }, text); }

connection.open();
