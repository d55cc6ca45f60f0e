// The bridge's own page.

import { Connection } from "./messages.js";
import { Plot } from "./plot.js";

const STATUS_MS = 1000;
const MESSAGE_MS = 15000;
const MOST_MESSAGES = 5;
const at = (id) => document.getElementById(id);
const connection = new Connection(heard, changed);

let description = { packets: {}, fields: [] };
let device = {};
let plots = [];
let plotted = "";
let isDirty = false;
let shownCount = 0;
const rows = new Map();

function heard({ cmd, data, err }) {
  if (err) {
    say(err.message);
    return;
  }
  const listeners = { output: showOutput, device: showDevice, log: showLog, upgrade_progress: showUpgrade };
  listeners[cmd]?.(data);
  if (cmd === "upgrade_progress" && data.state !== "running") {
    refresh();
  }
}

function changed(state) {
  at("token-form").hidden = state !== "token";
  if (state === "open") {
    refresh();
  } else {
    device = {};
    showState(state === "token" ? "token wanted" : "bridge has gone", "closed");
  }
}

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    say(error.message);
    return null;
  }
}

function say(text, kind = "error") {
  const item = document.createElement("li");
  const time = document.createElement("time");
  item.dataset.kind = kind;
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, text);
  at("messages").prepend(item);
  while (at("messages").children.length > MOST_MESSAGES) {
    at("messages").lastChild.remove();
  }
  setTimeout(() => item.remove(), MESSAGE_MS);
}

// ---- unit and state

async function refresh() {
  await attempt(async () => {
    description = await connection.ask("describe");
    const status = await connection.ask("status");
    showStatus(status);
    showLog(status.log);
    if (status.upgrade) {
      showUpgrade(status.upgrade);
    }
    await showFiles();
    await showFields();
  });
}

function showState(text, state) {
  at("state").textContent = text;
  at("state").dataset.state = state;
}

function showDevice(data) {
  const isNew = data.connected && (!device.connected || device.id !== data.id || device.url !== data.url);
  const isGone = !data.connected && device.connected;
  device = data;
  at("unit").textContent = data.id ? `${data.id} at ${data.url}` : data.url || "no unit yet";
  showState(data.state, data.state);
  if (isGone || (!data.connected && data.reason)) {
    say(data.reason);
  }
  if (isNew) {
    rows.clear();
    at("fields").tBodies[0].replaceChildren();
    say(`${data.id || "a unit"} is connected`, "note");
    refresh();
  }
}

function showStatus(status) {
  const { statistics } = status;
  if (status.device.state !== device.state || status.device.id !== device.id) {
    device = status.device;
    at("unit").textContent = device.id ? `${device.id} at ${device.url}` : device.url || "no unit yet";
    showState(device.state, device.state);
  }
  device.packet = status.device.packet;
  at("packet").textContent = device.packet || "–";
  at("dropped").textContent = status.dropped;
  if (statistics) {
    at("rate").textContent = statistics.rate_hz && device.state === "streaming" ? `${statistics.rate_hz.toFixed(1)} Hz` : "–";
    at("damaged").textContent = Object.values(statistics.damaged).reduce((sum, count) => sum + count, 0);
    at("lost").textContent = statistics.lost_readings;
  }
}

setInterval(async () => {
  at("shown").textContent = `${Math.round((shownCount * 1000) / STATUS_MS)} Hz`;
  shownCount = 0;
  if (connection.socket?.readyState === WebSocket.OPEN) {
    const status = await connection.ask("status").catch(() => null);
    if (status) {
      showStatus(status);
    }
  }
}, STATUS_MS);

at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.token = at("token").value;
  at("token").value = "";
  connection.open();
});

// ---- live

function showOutput(values) {
  const { packet } = device;
  if (packet !== plotted && description.packets[packet]) {
    plotted = packet;
    at("plots").replaceChildren();
    plots = description.packets[packet].graphs.map((graph) => new Plot(graph, at("plots")));
  }
  shownCount += 1;
  isDirty = true;
  for (const plot of plots) {
    plot.add(values);
  }
}

function drawAll() {
  if (isDirty) {
    isDirty = false;
    const span = Number(at("span").value);
    for (const plot of plots) {
      plot.draw(span);
    }
  }
  requestAnimationFrame(drawAll);
}
requestAnimationFrame(drawAll);

for (const [id, cmd] of [["start-stream", "start_stream"], ["stop-stream", "stop_stream"]]) {
  at(id).addEventListener("click", () => attempt(() => connection.ask(cmd)));
}
at("span").addEventListener("change", () => { isDirty = true; });
addEventListener("resize", () => { isDirty = true; });

// ---- log

function showLog(log) {
  at("start-log").disabled = log.active;
  at("stop-log").disabled = !log.active;
  at("log-state").textContent = log.active ? `logging to ${log.file}` : "not logging";
  if (log.error) {
    say(log.error);
  }
}

at("log-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = {
    fileName: at("log-name").value, id: at("log-user").value, access_token: at("log-token").value, storage: at("log-storage").value,
  };
  at("log-token").value = "";
  attempt(() => connection.ask("start_log", wanted));
});

at("stop-log").addEventListener("click", () => attempt(async () => {
  await connection.ask("stop_log");
  await showFiles();
}));

async function showFiles() {
  const files = await connection.ask("list_files");
  at("files").hidden = files.length === 0;
  at("files").tBodies[0].replaceChildren(...files.map((file) => {
    const save = button("Save", () => attempt(async () => download(await connection.ask("load_file", { name: file.name }))));
    const shown = row([file.name, file.bytes, new Date(file.modified).toLocaleString(), save]);
    shown.dataset.file = file.name;
    return shown;
  }));
}

function download({ name, text }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- fields

async function showFields() {
  if (!description.fields.length || !device.connected) {
    rows.clear();
    at("fields").tBodies[0].replaceChildren();
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

// What somebody is choosing in a row stays as it is when values are read again.
function showField(field, values) {
  if (!rows.has(field.id)) {
    rows.set(field.id, fieldRow(field, values[0]));
    at("fields").tBodies[0].append(rows.get(field.id));
  }
  values.forEach((value, k) => { rows.get(field.id).cells[2 + k].textContent = describeValue(field, value); });
}

function fieldRow(field, inEffect) {
  const name = document.createElement("span");
  const meaning = document.createElement("small");
  meaning.textContent = field.meaning;
  name.append(field.name, meaning);
  const choice = field.writable ? chooser(field, inEffect) : "";
  const put = (cmd) => attempt(async () => {
    await connection.ask(cmd, [[field.id, Number(choice.value)]]);
    await showFields();
    say(`${field.name}: ${describeValue(field, Number(choice.value))} is ${cmd === "SF" ? "set" : "written"}`, "note");
  });
  const buttons = document.createElement("span");
  if (field.writable) {
    buttons.append(button("Set", () => put("SF")), " ", button("Write", () => put("WF")));
  }
  const shown = row([field.id, name, "", "", choice, buttons]);
  shown.dataset.field = field.name;
  return shown;
}

function describeValue(field, value) {
  if (value === undefined) {
    return "–";
  }
  const text = field.is_packet_type ? String.fromCharCode(value >> 8, value & 255) : field.legal?.[value] ?? "";
  return text ? `${value} (${text})` : String(value);
}

function chooser(field, value) {
  const types = Object.keys(description.packets).filter((name) => name.length === 2);
  const options = field.is_packet_type
    ? types.map((name) => [name.charCodeAt(0) * 256 + name.charCodeAt(1), name])
    : Object.entries(field.legal ?? {});
  const element = document.createElement(options.length ? "select" : "input");
  element.setAttribute("aria-label", `new value of ${field.name}`);
  if (options.length) {
    element.append(...options.map(([number, text]) => new Option(text || number, number)));
  } else {
    Object.assign(element, { type: "number", min: 0, max: 65535 });
  }
  element.value = value;
  return element;
}

at("read-fields").addEventListener("click", () => attempt(showFields));

// ---- firmware

at("firmware-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const octets = new Uint8Array(await at("firmware-file").files[0].arrayBuffer());
    const image = btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""));
    const wanted = { image, confirm: at("firmware-confirm").checked, recover: at("firmware-recover").checked };
    at("firmware-confirm").checked = false;
    await connection.ask("upgrade", wanted);
  });
});

function showUpgrade(progress) {
  const bar = at("firmware-progress");
  const isRunning = progress.state === "running";
  bar.hidden = !isRunning;
  at("start-upgrade").disabled = isRunning;
  if (isRunning) {
    bar.max = progress.total_bytes;
    bar.value = progress.written_bytes;
    at("firmware-state").textContent = `${progress.phase}: ${progress.written_bytes} of ${progress.total_bytes} bytes`;
  } else {
    at("firmware-state").textContent = progress.state === "done" ? `done: ${progress.after}` : progress.message;
  }
}

// ---- small things

function row(cells) {
  const element = document.createElement("tr");
  for (const content of cells) {
    const cell = element.insertCell();
    cell.append(content);
    if (typeof content === "number") {
      cell.className = "number";
    }
  }
  return element;
}

function button(text, action) {
  const element = document.createElement("button");
  Object.assign(element, { type: "button", textContent: text, className: "small" });
  element.addEventListener("click", action);
  return element;
}

connection.open();
