// Page of the station server: state of gateways and gadgets, map, and charts; no libraries, nothing from other hosts.

import { Chart } from "./chart.js";
import { age, bytes, element, label, number, stateOf, time } from "./format.js";
import { PlaceMap, parseCoastline } from "./map.js";
import { RANGES, choices, details, get, load } from "./readings.js";
import { SortedTable } from "./tables.js";

const EVERY_MS = 30000, MOST_COMPARED = 8, DAY_MS = 86400000;
const at = id => document.getElementById(id);
const view = { gadgets: [], value: "", range: "day", from: null, to: null, form: "auto", correction: "both" };
let fleet = { gateways: [], gadgets: [], alerts: [] }, gadgets = [], newest = [], newestOf = "", plotted = 0, hasCoastline = false;

// Gadgets with their gateways

function isChosen(gadget) { return view.gadgets.includes(gadget.name); }

function merged(overview, state) {
  const places = new Map();
  for (const gateway of state.gateways) for (const each of gateway.gadgets) places.set(each.name, { gateway, each });
  return overview.gadgets.map(each => {
    const known = places.get(each.gadget), ageMs = overview.time_ms - each.last_reading_ms;
    return {
      ...each, name: each.gadget, ageMs, state: known?.gateway.state === "revoked" ? "revoked" : stateOf(ageMs),
      gateway: known?.gateway.name || "", location: each.location || known?.each.location || null, main: each.values[0],
    };
  });
}

function matches(...texts) {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = texts.join(" ").toLowerCase();
  return words.every(word => all.includes(word));
}

function isFound(gadget) { return matches(gadget.name, gadget.gateway, gadget.state, gadget.family, gadget.kind); }

function badge(quality) {
  if (!quality) return "–";
  const title = `${quality.category}: NowCast of ${label(quality.name)} ${quality.nowcast_ug_m3} µg/m³`;
  return element("span", { class: `aqi aqi${quality.rank}`, title }, String(quality.index));
}

function valueOf({ main }) {
  if (!main) return "–";
  const stored = number(main.value * main.per_unit, 3), name = element("span", { class: "unit minor" }, `${label(main.name)} `);
  const unit = element("span", { class: "unit minor" }, ` ${main.unit}`);
  if (main.corrected === undefined) return [name, stored, unit];
  return [name, number(main.corrected * main.per_unit, 3), element("span", { class: "unit", title: "stored value" }, ` (${stored})`), unit];
}

const gadgetTable = new SortedTable(at("gadgets"), [
  { title: element("span", { class: "hidden" }, "Compare"), cell: gadget => {
    const box = element("input", { type: "checkbox", "aria-label": `Compare ${gadget.name}`, "data-key": `box ${gadget.name}`, onchange: () => toggle(gadget.name) });
    box.checked = isChosen(gadget);
    return box;
  } },
  { title: "Gadget", sort: gadget => gadget.name, cell: gadget => element("button", { type: "button", class: "link name", "data-key": gadget.name, onclick: () => choose(gadget.name) }, gadget.name) },
  { title: "Value", kind: "number", first: -1, sort: gadget => gadget.main && (gadget.main.corrected ?? gadget.main.value), cell: valueOf },
  { title: "AQI", kind: "number", first: -1, sort: gadget => gadget.air_quality?.index, cell: gadget => badge(gadget.air_quality) },
  { title: "Newest", sort: gadget => gadget.ageMs, cell: gadget => element("span", { class: `state ${gadget.state}`, title: time(gadget.last_reading_ms) }, age(gadget.ageMs)) },
  { title: "Gateway", kind: "minor", sort: gadget => gadget.gateway, cell: gadget => gadget.gateway || "–" },
], { column: 1, mark: isChosen });

const gatewayTable = new SortedTable(at("gateways"), [
  { title: "Gateway", sort: each => each.name, cell: each => each.name },
  { title: "State", sort: each => ["revoked", "silent", "late", "fine"].indexOf(each.state), cell: each => element("span", { class: `state ${each.state}` }, each.state) },
  { title: "Last seen", sort: each => each.last_seen_ms && -each.last_seen_ms, cell: each => each.last_seen_ms ? element("span", { title: time(each.last_seen_ms) }, age(fleet.time_ms - each.last_seen_ms)) : "never" },
  { title: "Backlog", kind: "number", first: -1, sort: each => each.backlog_readings, cell: each => each.backlog_readings === null ? "–" : `${each.backlog_readings}${each.backlog_batches ? ` (${each.backlog_batches} batches)` : ""}` },
  { title: "Clock", kind: "number minor", first: -1, sort: each => each.clock_offset_s === null ? null : Math.abs(each.clock_offset_s), cell: each => each.clock_offset_s === null ? "–" : `${each.clock_offset_s >= 0 ? "+" : "−"}${number(Math.abs(each.clock_offset_s), 2)} s` },
  { title: "Disk free", kind: "number minor", sort: each => each.disk_free_bytes, cell: each => each.disk_free_bytes === null ? "–" : `${bytes(each.disk_free_bytes)} of ${bytes(each.disk_total_bytes)}` },
  { title: "Version", kind: "minor", sort: each => each.version, cell: each => each.version || "–" },
  { title: "Gadgets", kind: "number minor", sort: each => each.gadgets.length, cell: each => String(each.gadgets.length) },
  { title: "Alerts", first: -1, sort: each => each.alerts.length, cell: each => each.alerts.map(({ name }) => element("span", { class: "doubt" }, `${name} `)) },
], { column: 1 });

function showAlerts() {
  const all = [...fleet.alerts.map(each => ["this server", each]), ...fleet.gateways.flatMap(({ name, alerts }) => alerts.map(each => [name, each]))];
  at("alerts-card").hidden = !all.length;
  at("alerts").replaceChildren(...all.map(([name, each]) => element("li", {}, element("strong", {}, `${name}: ${each.name}`), ` ${each.text} `, element("span", { class: "faint" }, `since ${time(each.since_ms)}`))));
}

function showFleet() {
  const found = gadgets.filter(isFound);
  gadgetTable.show(found);
  at("gadget-count").textContent = found.length === gadgets.length ? `${gadgets.length}` : `${found.length} of ${gadgets.length}`;
  at("gateways-card").hidden = !fleet.gateways.length;
  gatewayTable.show(fleet.gateways.filter(each => matches(each.name, each.state, each.version || "", ...each.alerts.map(({ name }) => name))));
  at("server-disk").textContent = `Server: ${bytes(fleet.disk_free_bytes)} of ${bytes(fleet.disk_total_bytes)} free`;
  showAlerts();
  showMap();
  const counts = ["late", "silent", "revoked"].map(state => [fleet.gateways.filter(each => each.state === state).length, state]);
  const problems = counts.filter(([count]) => count).map(([count, state]) => `, ${count} ${state}`).join("");
  const total = fleet.gateways.length, devices = gadgets.length;
  at("state").textContent = devices ? `${devices} gadget${devices === 1 ? "" : "s"}${total ? `, ${total} gateway${total === 1 ? "" : "s"}${problems}` : ""}` : "No readings yet.";
}

// Map

const map = new PlaceMap(at("map"), name => choose(name));

function showMap() {
  const placed = gadgets.filter(each => each.location);
  at("map").hidden = at("scale").hidden = !placed.length;
  at("no-places").hidden = placed.length > 0;
  map.show(placed.map(each => ({
    name: each.name, latitude: each.location.latitude_deg, longitude: each.location.longitude_deg,
    kind: each.air_quality ? `aqi${each.air_quality.rank}` : "none", label: each.air_quality ? String(each.air_quality.index) : "",
    title: `${each.name}: ${each.air_quality ? `AQI ${each.air_quality.index}, ${each.air_quality.category}` : "no air quality index"}, ${age(each.ageMs)}`,
    isChosen: isChosen(each), isDim: !isFound(each),
  })));
  if (placed.length && !hasCoastline) {
    hasCoastline = true;
    fetch("api/v1/coastline/").then(answer => answer.text()).then(content => map.setCoastline(parseCoastline(content)));
  }
}

// Chart

const chart = new Chart(at("chart"), at("spoken"));

function spanOf() {
  if (view.range === "custom" && view.from && view.to && view.from < view.to) return [view.from, view.to];
  const chosen = gadgets.filter(isChosen), last = Math.max(...chosen.map(each => each.last_reading_ms), 0);
  // The span ends now, or with the newest reading if all of it is older.
  const now = Date.now(), length = RANGES[view.range] || DAY_MS, end = last && last < now - length ? last + 1 : now;
  return [end - length, end];
}

function chips() {
  at("chosen").replaceChildren(...view.gadgets.map(name => element("li", {}, element("button", { type: "button", "aria-label": `Remove ${name}`, "data-key": `chip ${name}`, onclick: () => toggle(name) }, `${name} ×`))));
}

function legend(series, unit) {
  const head = [unit ? `Series in ${unit}` : "Series", "Mean", "Lowest", "Highest", "Newest"].map((title, rank) => element("th", { scope: "col", class: rank ? "number" : null }, title));
  const rows = series.filter(({ points }) => points.length).map(each => {
    const key = element("span", { class: each.isDashed ? "key dashed" : "key" });
    key.style.borderTopColor = each.color.startsWith("--") ? `var(${each.color})` : each.color;
    const { points } = each, mean = points.reduce((sum, point) => sum + point[1], 0) / points.length;
    const low = points.reduce((least, point) => Math.min(least, point[2] ?? point[1]), Infinity);
    const high = points.reduce((most, point) => Math.max(most, point[3] ?? point[1]), -Infinity);
    const cells = [mean, low, high, points[points.length - 1][1]].map(value => element("td", { class: "number" }, number(value)));
    return element("tr", {}, element("td", {}, key, each.title), ...cells);
  });
  at("legend").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

async function loadNewest() {
  const [first = ""] = view.gadgets;
  newest = first ? (await get("reading/latest/", { gadget: first, flat: false })).results : [];
  newestOf = first;
  const found = choices(newest);
  at("value").replaceChildren(...found.map(each => element("option", { value: each.id }, each.unit ? `${each.title} (${each.unit})` : each.title)));
  if (!found.some(each => each.id === view.value)) view.value = found[0]?.id || "";
  at("value").value = view.value;
  return found;
}

async function plot({ keepsNewest = false } = {}) {
  const request = ++plotted;
  const found = keepsNewest && newestOf === view.gadgets[0] ? choices(newest) : await loadNewest();
  chips();
  const choice = found.find(each => each.id === view.value);
  const [start, end] = spanOf(), hasDay = end - start <= 2 * DAY_MS;
  const form = view.form === "auto" ? (hasDay ? "raw" : "mean") : view.form;
  const series = choice ? await load(view.gadgets, choice, { start, end, form, correction: view.correction }) : [];
  if (request !== plotted) return;
  chart.show(series, choice?.unit || "", start, end);
  legend(series, choice?.unit || "");
  const steps = [...new Set(series.filter(each => each.points.length).map(each => each.stepMs))].filter(Boolean).map(step => `${step / 3600000} h`);
  at("caption").textContent = choice ? `${choice.title}${choice.unit ? ` in ${choice.unit}` : ""}, ${time(start)} to ${time(end)}${steps.length ? `, means of ${steps.join(" and ")}${series.length === 1 ? " with lowest and highest reading" : ""}` : ""}` : "";
  at("chart").dataset.points = series.reduce((sum, each) => sum + each.points.length, 0);
  at("details").replaceChildren(...details(newest, view.value, name => { view.value = name; at("value").value = name; changed({ keepsNewest: true }); at("chart-card").scrollIntoView({ block: "nearest" }); }));
  at("details-note").textContent = view.gadgets[0] || "";
  document.title = view.gadgets.length ? `${view.gadgets[0]} – Stations` : "Stations";
}

// Choices of the user, which the address contains, so that it can be shared

function remember() {
  const kept = new URLSearchParams({ value: view.value, range: view.range, form: view.form, correction: view.correction });
  view.gadgets.forEach(name => kept.append("gadget", name));
  if (view.range === "custom" && view.from && view.to) { kept.set("from", view.from); kept.set("to", view.to); }
  history.replaceState(null, "", `${location.pathname}#${kept}`);
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1)), among = (key, allowed) => allowed.includes(kept.get(key)) ? kept.get(key) : view[key];
  view.gadgets = kept.getAll("gadget").slice(0, MOST_COMPARED);
  view.value = kept.get("value") || "";
  view.range = among("range", [...Object.keys(RANGES), "custom"]);
  view.form = among("form", ["auto", "raw", "mean"]);
  view.correction = among("correction", ["both", "corrected", "stored"]);
  view.from = Number(kept.get("from")) || null;
  view.to = Number(kept.get("to")) || null;
}

function showControls() {
  document.querySelectorAll("[data-range]").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.range === view.range)));
  at("custom").hidden = view.range !== "custom";
  at("form").value = view.form;
  at("correction").value = view.correction;
  for (const [id, ms] of [["from", view.from], ["to", view.to]]) at(id).value = ms ? new Date(ms).toISOString().slice(0, 16) : "";
}

function report(error) {
  at("state").textContent = error.isRefusal ? `The server refuses: ${error.message}` : `The server does not respond: ${error.message}`;
  at("state").classList.add("doubt");
}

function changed(options) {
  remember();
  showControls();
  plot(options).then(() => remember()).catch(report);
}

function choose(name) {
  view.gadgets = [name];
  showFleet();
  changed();
}

function toggle(name) {
  view.gadgets = view.gadgets.includes(name) ? view.gadgets.filter(each => each !== name) : [...view.gadgets, name].slice(-MOST_COMPARED);
  showFleet();
  changed();
}

async function refresh() {
  try {
    const [overview, state] = await Promise.all([get("overview/"), get("fleet/")]);
    fleet = state;
    gadgets = merged(overview, state);
    at("state").classList.remove("doubt");
    at("scale").replaceChildren(...overview.air_quality_categories.map((category, rank) => element("li", {}, element("span", { class: `aqi aqi${rank}` }), category)));
    view.gadgets = view.gadgets.filter(name => gadgets.some(each => each.name === name));
    if (!view.gadgets.length && gadgets.length) view.gadgets = [(gadgets.find(each => each.state === "fine") || gadgets[0]).name];
    showFleet();
    // A span of the past does not change.
    if (view.range !== "custom" || !plotted) await plot();
    document.body.dataset.ready = "yes";
  } catch (error) {
    report(error);
  }
  setTimeout(refresh, EVERY_MS);
}

at("search").addEventListener("input", showFleet);
at("controls").addEventListener("submit", event => event.preventDefault());
at("value").addEventListener("change", event => { view.value = event.target.value; changed({ keepsNewest: true }); });
for (const id of ["form", "correction"]) at(id).addEventListener("change", event => { view[id] = event.target.value; changed({ keepsNewest: true }); });
document.querySelectorAll("[data-range]").forEach(button => button.addEventListener("click", () => {
  if (button.dataset.range === "custom") [view.from, view.to] = spanOf().map(ms => Math.floor(ms / 60000) * 60000);
  view.range = button.dataset.range;
  changed({ keepsNewest: true });
}));
for (const id of ["from", "to"]) at(id).addEventListener("change", event => {
  view[id] = event.target.value ? Date.parse(`${event.target.value}Z`) : null;
  if (view.from && view.to && view.from < view.to) changed({ keepsNewest: true });
});
at("zoom-in").addEventListener("click", () => map.zoom(0.6));
at("zoom-out").addEventListener("click", () => map.zoom(1.6));
at("zoom-all").addEventListener("click", () => map.fit());
window.addEventListener("hashchange", () => { recall(); showFleet(); changed(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.draw());
recall();
showControls();
// The server has stored the token as a cookie, so it is removed from the address and the history.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);
refresh();
