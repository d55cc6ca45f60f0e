"use strict";
// Newest readings of each device, and a plot of the selected value over the last day; no libraries.

const EVERY_MS = 10000, OLD_S = 300, DAY_MS = 86400000;
const shown = new Map();

function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  if (Array.isArray(value)) return value.map(text).join(" ");
  return String(value);
}

// Customary name, unit and factor of a value: Ah, where the API has coulombs.
function expected(reading, name) {
  return reading.people[name] || { name, unit: reading.units[name] || "", per_unit: 1 };
}

function age(seconds) {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

// Order of the values: concentrations, other quantities, times, numbers without a unit.
function rank(unit) {
  if (!unit) return 3;
  return unit.includes("g/m") ? 0 : /^[mµun]?s$/.test(unit) ? 2 : 1;
}

function ordered(reading) {
  return Object.entries(reading.values).sort(([a], [b]) => rank(reading.units[a]) - rank(reading.units[b]));
}

function section(reading) {
  const key = reading.gadget + "\n" + reading.kind;
  if (!shown.has(key)) {
    const node = document.getElementById("gadget").content.firstElementChild.cloneNode(true);
    node.querySelector(".name").textContent = reading.gadget;
    node.querySelector(".kind").textContent = reading.kind;
    document.getElementById("gadgets").append(node);
    const [name] = ordered(reading).find(([, value]) => typeof value === "number") || [];
    shown.set(key, { node, name, rows: new Map() });
  }
  return shown.get(key);
}

function fill(reading) {
  const entry = section(reading), seconds = (Date.now() - Date.parse(reading.timestamp)) / 1000;
  entry.reading = reading;
  entry.node.classList.toggle("old", seconds > OLD_S);
  const doubts = [...reading.flags, ...reading.quality.filter(flag => flag !== "DEVICE").map(flag => flag.toLowerCase())];
  entry.node.querySelector(".time").textContent =
    `${reading.timestamp.replace("T", " ").replace("Z", " UTC")}, ${age(seconds)}` + (doubts.length ? ` (${doubts.join(", ")})` : "");
  for (const [name, value] of ordered(reading)) {
    const told = expected(reading, name);
    if (!entry.rows.has(name)) {
      const row = entry.node.querySelector("tbody").insertRow();
      for (let cell = 0; cell < 3; cell++) row.insertCell();
      row.cells[0].textContent = told.name;
      if (typeof value === "number") row.onclick = () => { entry.name = name; plot(entry); };
      entry.rows.set(name, row);
    }
    const [, number, more] = entry.rows.get(name).cells;
    number.textContent = text(typeof value === "number" ? value * told.per_unit : value);
    more.textContent = told.unit || reading.words[name] || "";
  }
}

// Only plots near the window are drawn: with 200 devices, the readings of a day of each would take half a minute.
function visible() {
  return [...shown.values()].filter(({ node }) => {
    const { top, bottom } = node.getBoundingClientRect();
    return bottom > -innerHeight / 2 && top < 1.5 * innerHeight;
  });
}

async function plot(entry) {
  const { gadget, kind } = entry.reading, name = entry.name;
  for (const [other, row] of entry.rows) row.classList.toggle("chosen", other === name);
  if (!name) return;
  const since = new Date(Date.parse(entry.reading.timestamp) - DAY_MS).toISOString();
  const query = new URLSearchParams({ gadget, kind, name, timestamp__gte: since });
  const answer = await fetch(`api/v1/series/?${query}`);
  if (!answer.ok || entry.name !== name) return;
  const { points } = await answer.json();
  const told = expected(entry.reading, name);
  draw(entry.node.querySelector("canvas"), points.map(([t, value]) => [t, value * told.per_unit]));
  entry.node.querySelector("figcaption").textContent = `${told.name}${told.unit ? " in " + told.unit : ""}, the last 24 h with readings, UTC`;
  entry.node.dataset.points = points.length;
}

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
}

function draw(canvas, points) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif";
  if (!points.length) return;
  const left = 62, right = 8, top = 8, bottom = 22;
  let low = Infinity, high = -Infinity;
  for (const [, value] of points) { low = Math.min(low, value); high = Math.max(high, value); }
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  low -= room; high += room;
  const start = points[0][0], end = points[points.length - 1][0] + 1;
  const x = t => left + (t - start) / (end - start) * (width - left - right);
  const y = v => top + (high - v) / (high - low) * (height - top - bottom);
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.fillStyle = style.getPropertyValue("--faint");
  pen.textAlign = "right"; pen.textBaseline = "middle";
  for (const tick of ticks(low, high, 5)) {
    pen.beginPath(); pen.moveTo(left, y(tick)); pen.lineTo(width - right, y(tick)); pen.stroke();
    pen.fillText(text(tick), left - 6, y(tick));
  }
  pen.textBaseline = "alphabetic";
  const parts = points.length === 1 ? 0 : Math.max(1, Math.min(4, Math.floor(width / 160)));
  for (let part = 0; part <= parts; part++) {
    const t = start + (end - start) * part / (parts || 1);
    pen.textAlign = part === 0 ? "left" : part === parts ? "right" : "center";
    pen.fillText(new Date(t).toISOString().slice(11, 19), x(t), height - 6);
  }
  pen.strokeStyle = style.getPropertyValue("--mark");
  pen.lineWidth = 1.5;
  pen.beginPath();
  // A gap in the readings is a gap in the line.
  const gaps = points.slice(1).map(([t], rank) => t - points[rank][0]).sort((a, b) => a - b);
  const longest = 10 * (gaps[Math.floor(gaps.length / 2)] || 0) + 1000;
  points.forEach(([t, value], rank) => {
    const begins = rank === 0 || t - points[rank - 1][0] > longest;
    if (begins) pen.moveTo(x(t), y(value)); else pen.lineTo(x(t), y(value));
    if (points.length === 1) pen.arc(x(t), y(value), 2, 0, 7);
  });
  pen.stroke();
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("api/v1/reading/latest/");
    if (!answer.ok) throw new Error((await answer.json()).error);
    const { results } = await answer.json();
    results.forEach(fill);
    const count = new Set(results.map(item => item.gadget)).size;
    state.textContent = count ? `${count} device${count === 1 ? "" : "s"}` : "No readings yet.";
    state.classList.remove("doubt");
    await Promise.all(visible().map(plot));
    document.body.dataset.ready = "yes";
  } catch (error) {
    state.textContent = `The server does not answer: ${error.message}`;
    state.classList.add("doubt");
  }
  setTimeout(refresh, EVERY_MS);
}

// The server has stored the token as a cookie, so it is removed from the address and the history.
if (location.search) history.replaceState(null, "", location.pathname);
window.addEventListener("resize", () => visible().forEach(plot));
let scrolled;
window.addEventListener("scroll", () => {
  clearTimeout(scrolled);
  scrolled = setTimeout(() => visible().filter(entry => !entry.node.dataset.points).forEach(plot), 100);
});
refresh();
