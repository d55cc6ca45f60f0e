// Page of the station server: state of gateways and gadgets, map, and charts. The public page has no gateways.

import { Chart, isPartial, key } from "./chart.js";
import { SortedTable } from "./components/tables.js";
import { element, number, onSchemeChange } from "./components/theme.js";
import { age, bytes, label, stateOf } from "./format.js";
import { PlaceMap, parseCoastline } from "./map.js";
import { RANGES, choices, details, exceeded, get, load } from "./readings.js";
import { BROWSER_ZONE, fromInput, setZone, time, toInput } from "./zone.js";

const EVERY_MS = 30000, MOST_COMPARED = 8, DAY_MS = 86400000;
const INDICES = { us: { key: "air_quality", kind: "aqi", name: "AQI" }, europe: { key: "european_air_quality", kind: "eaqi", name: "EAQI" } };
const isPublic = location.pathname.endsWith("/public/");
const at = id => document.getElementById(id);
const view = { gadgets: [], value: "", range: "day", from: null, to: null, form: "auto", correction: "both", zone: "browser", index: "us", embed: "" };
let fleet = { gateways: [], gadgets: [], alerts: [] }, gadgets = [], newest = [], newestOf = "", plotted = 0, hasCoastline = false, unzoomed = "day", stationZone = "UTC";

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

function isSearched(gadget) { return matches(gadget.name, gadget.gateway, gadget.state, gadget.family, gadget.kind); }

// The filter of the map selects gadgets by their index and the age of their newest reading.
function isFiltered(gadget) {
  const [least, most, within] = ["least", "most", "within"].map(id => at(id).value === "" ? null : Number(at(id).value));
  const index = qualityOf(gadget)?.index;
  if ((least !== null || most !== null) && index === undefined) return false;
  return !(index < least) && (most === null || !(index > most)) && (within === null || gadget.ageMs <= within);
}

function isFound(gadget) { return isSearched(gadget) && isFiltered(gadget); }

function qualityOf(gadget) { return gadget[INDICES[view.index].key]; }

function badge(quality) {
  if (!quality) return "–";
  const [kind, concentration] = quality.nowcast_ug_m3 === undefined ? ["hourly mean", quality.mean_ug_m3] : ["NowCast", quality.nowcast_ug_m3];
  const title = `${quality.category}: ${kind} of ${label(quality.name)} ${concentration} µg/m³`;
  return element("span", { class: `aqi ${INDICES[view.index].kind}${quality.rank}`, title }, String(quality.index));
}

function valueOf({ main }) {
  if (!main) return "–";
  const stored = number(main.value * main.per_unit, 3), name = element("span", { class: "unit minor" }, `${label(main.name)} `);
  const unit = element("span", { class: "unit minor" }, ` ${main.unit}`);
  if (main.corrected === undefined) return [name, stored, unit];
  return [name, number(main.corrected * main.per_unit, 3), element("span", { class: "unit", title: "stored value" }, ` (${stored})`), unit];
}

const gadgetTable = new SortedTable(at("gadgets"), [
  { title: element("span", { class: "unseen" }, "Compare"), cell: gadget => {
    const box = element("input", { type: "checkbox", "aria-label": `Compare ${gadget.name}`, "data-key": `box ${gadget.name}`, onchange: () => toggle(gadget.name) });
    box.checked = isChosen(gadget);
    return box;
  } },
  { title: "Gadget", sort: gadget => gadget.name, cell: gadget => element("button", { type: "button", class: "link name", "data-key": gadget.name, onclick: () => choose(gadget.name) }, gadget.name) },
  { title: "Value", kind: "number", first: -1, sort: gadget => gadget.main && (gadget.main.corrected ?? gadget.main.value), cell: valueOf },
  { title: "Index", kind: "number", first: -1, sort: gadget => qualityOf(gadget)?.index, cell: gadget => badge(qualityOf(gadget)) },
  { title: "Newest", sort: gadget => gadget.ageMs, cell: gadget => element("span", { class: `state ${gadget.state}`, title: time(gadget.last_reading_ms) }, age(gadget.ageMs)) },
  ...isPublic ? [] : [{ title: "Gateway", kind: "minor", sort: gadget => gadget.gateway, cell: gadget => gadget.gateway || "–" }],
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
  at("alerts").replaceChildren(...all.map(([name, each]) => element("li", {}, element("strong", {}, `${name}: ${each.name}`), ` ${each.text} `, element("span", { class: "note" }, `since ${time(each.since_ms)}`))));
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

const map = new PlaceMap(at("map"), names => choose(...names));

function showMap() {
  const placed = gadgets.filter(each => each.location), { kind, name } = INDICES[view.index], shown = placed.filter(isFiltered);
  at("map").hidden = at("scale").hidden = at("filter").hidden = !placed.length;
  at("no-places").hidden = placed.length > 0;
  at("none-found").hidden = !placed.length || shown.length > 0;
  map.show(shown.map(each => ({
    name: each.name, latitude: each.location.latitude_deg, longitude: each.location.longitude_deg,
    kind: qualityOf(each) ? `${kind}${qualityOf(each).rank}` : "none", rank: qualityOf(each)?.index ?? -1, label: qualityOf(each) ? String(qualityOf(each).index) : "",
    title: `${each.name}: ${qualityOf(each) ? `${name} ${qualityOf(each).index}, ${qualityOf(each).category}` : "no air quality index"}, ${age(each.ageMs)}`,
    isChosen: isChosen(each), isDim: !isSearched(each),
  })));
  if (placed.length && !hasCoastline) {
    hasCoastline = true;
    fetch("api/v1/coastline/").then(answer => answer.text()).then(content => map.setCoastline(parseCoastline(content)));
  }
}

// Chart

// Without arguments, return to the span that was chosen before the zoom.
const chart = new Chart(at("chart"), at("spoken"), (start, end) => {
  if (start === undefined && view.range !== "custom") return;
  if (start === undefined) view.range = unzoomed;
  else setSpan(start, end);
  changed({ keepsNewest: true });
});

function setSpan(start, end) {
  if (view.range !== "custom") unzoomed = view.range;
  [view.range, view.from, view.to] = ["custom", start, end];
}

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
    const { points } = each, mean = points.reduce((sum, point) => sum + point[1], 0) / points.length;
    const low = points.reduce((least, point) => Math.min(least, point[2] ?? point[1]), Infinity);
    const high = points.reduce((most, point) => Math.max(most, point[3] ?? point[1]), -Infinity);
    const cells = [mean, low, high, points[points.length - 1][1]].map(value => element("td", { class: "number" }, number(value)));
    return element("tr", {}, element("td", {}, key(each), each.title), ...cells);
  });
  at("legend").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

// Table of the limits of a concentration, with the days of each gadget that exceed them.
function showLimits(rows, names) {
  at("limits-card").hidden = !rows.length;
  const head = ["Limit", ...names].map(title => element("th", { scope: "col" }, title));
  const lines = rows.map(({ limit, period, source, days_allowed, of }) => element("tr", {},
    element("td", {}, `${source}: ${number(limit)} µg/m³, mean of a ${period}${days_allowed ? `, ${days_allowed} days above allowed` : ""}`),
    ...of.map(each => element("td", { class: each.exceeded ? "doubt" : null },
      each.period === "day" ? `${each.days_above} of ${each.days} days above` : each.mean === null ? "–" : `${number(each.mean, 3)} µg/m³ in ${each.days} days`,
      each.exceeded ? ", exceeded" : each.exceeded === false ? ", met" : ""))));
  at("limits").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines));
  at("limits-note").textContent = `Days begin at midnight in ${stationZone} and count if 18 of their hours have readings. Limits are judged from 274 days on, three quarters of a year.`;
}

async function loadNewest() {
  const [first = ""] = view.gadgets;
  newest = first ? (await get("reading/latest/", { gadget: first, flat: false })).results : [];
  newestOf = first;
  const found = choices(newest);
  const option = each => element("option", { value: each.id }, each.unit ? `${each.title} (${each.unit})` : each.title);
  const groups = [["Measurements", found.filter(each => !each.isStatus)], ["Status", found.filter(each => each.isStatus)]];
  at("value").replaceChildren(...groups.filter(([, of]) => of.length).map(([title, of]) => element("optgroup", { label: title }, ...of.map(option))));
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
  const hasLimits = choice?.unit === "µg/m³" && !hasDay;
  const limits = hasLimits ? await exceeded(view.gadgets, choice, { start, end, correction: view.correction }) : [];
  if (request !== plotted) return;
  const daily = limits.filter(({ period }) => period === "day").map(({ limit, source }) => ({ level: limit, text: `${source}, daily mean: ${limit}` }));
  chart.show(series, { unit: choice?.unit || "", start, end, limits: daily, zone: zone() });
  legend(series, choice?.unit || "");
  showLimits(limits, view.gadgets);
  const steps = [...new Set(series.filter(each => each.points.length).map(each => each.stepMs))].filter(Boolean).map(step => `${step / 3600000} h`);
  at("caption").textContent = choice ? `${choice.title}${choice.unit ? ` in ${choice.unit}` : ""}, ${time(start)} to ${time(end)}${steps.length ? `, means of ${steps.join(" and ")} with lowest and highest reading` : ""}${series.some(each => each.points.some(point => isPartial(each, point[4]))) ? "; circles mark intervals with readings in less than three quarters of their hours" : ""}` : "";
  at("chart").dataset.points = series.reduce((sum, each) => sum + each.points.length, 0);
  at("details").replaceChildren(...details(newest, view.value, name => { view.value = name; at("value").value = name; changed({ keepsNewest: true }); at("chart-card").scrollIntoView({ block: "nearest" }); }, { hasExport: !isPublic }));
  at("details-note").textContent = view.gadgets[0] || "";
  document.title = view.gadgets.length ? `${view.gadgets[0]} – Stations` : "Stations";
}

// Choices of the user, which the address contains, so that it can be shared

function remember() {
  const kept = new URLSearchParams({ value: view.value, range: view.range, form: view.form, correction: view.correction, zone: view.zone, index: view.index });
  if (view.embed) kept.set("embed", view.embed);
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
  view.zone = among("zone", ["browser", "station", "utc"]);
  view.index = among("index", Object.keys(INDICES));
  view.embed = among("embed", ["chart", "map"]);
  if (view.embed) document.body.dataset.embed = view.embed;
  view.from = Number(kept.get("from")) || null;
  view.to = Number(kept.get("to")) || null;
}

function zone() { return { browser: BROWSER_ZONE, station: stationZone, utc: "UTC" }[view.zone]; }

function showControls() {
  stationZone = gadgets.find(isChosen)?.time_zone || "UTC";
  setZone(zone());
  const zones = [["browser", `of this browser: ${BROWSER_ZONE}`], ["station", `of the station: ${stationZone}`], ["utc", "UTC"]];
  at("zone").replaceChildren(...zones.map(([value, title]) => element("option", { value }, title)));
  at("zone").value = view.zone;
  at("zone-name").textContent = zone();
  at("index").value = view.index;
  document.querySelectorAll("[data-range]").forEach(button => button.setAttribute("aria-pressed", String(button.dataset.range === view.range)));
  at("custom").hidden = view.range !== "custom";
  at("form").value = view.form;
  at("correction").value = view.correction;
  for (const [id, ms] of [["from", view.from], ["to", view.to]]) at(id).value = ms ? toInput(ms) : "";
}

function report(error) {
  if (error.status === 401) location.reload();  // the session has ended, so this is the sign-in page
  at("state").textContent = error.isRefusal ? `The server refuses: ${error.message}` : `The server does not respond: ${error.message}`;
  at("state").classList.add("doubt");
}

function changed(options) {
  remember();
  showControls();
  plot(options).then(() => remember()).catch(report);
}

function choose(...names) {
  view.gadgets = names.slice(0, MOST_COMPARED);
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
    const [overview, state] = await Promise.all([get("overview/"), isPublic ? fleet : get("fleet/")]);
    fleet = state;
    gadgets = merged(overview, state);
    map.tiles = overview.tiles;
    at("state").classList.remove("doubt");
    const { key: index, kind } = INDICES[view.index];
    at("scale").replaceChildren(...overview[`${index}_categories`].map((category, rank) => element("li", {}, element("span", { class: `aqi ${kind}${rank}` }), category)));
    view.gadgets = view.gadgets.filter(name => gadgets.some(each => each.name === name));
    if (!view.gadgets.length && gadgets.length) view.gadgets = [(gadgets.find(each => each.state === "fine") || gadgets[0]).name];
    at("welcome").hidden = gadgets.length > 0;
    document.body.toggleAttribute("data-empty", !gadgets.length);
    showControls();
    showFleet();
    // A span of the past does not change.
    if (view.range !== "custom" || !plotted) await plot();
    document.body.dataset.ready = "yes";
  } catch (error) {
    report(error);
  }
  clearTimeout(refresh.next);
  refresh.next = setTimeout(refresh, EVERY_MS);
}

at("search").addEventListener("input", showFleet);
at("controls").addEventListener("submit", event => event.preventDefault());
at("value").addEventListener("change", event => { view.value = event.target.value; changed({ keepsNewest: true }); });
for (const id of ["form", "correction"]) at(id).addEventListener("change", event => { view[id] = event.target.value; changed({ keepsNewest: true }); });
document.querySelectorAll("[data-range]").forEach(button => button.addEventListener("click", () => {
  if (button.dataset.range === "custom") setSpan(...spanOf().map(ms => Math.floor(ms / 60000) * 60000));
  view.range = button.dataset.range;
  changed({ keepsNewest: true });
}));
for (const id of ["from", "to"]) at(id).addEventListener("change", event => {
  view[id] = event.target.value ? fromInput(event.target.value) : null;
  if (view.from && view.to && view.from < view.to) changed({ keepsNewest: true });
});
for (const event of ["input", "change"]) at("filter").addEventListener(event, showFleet);
at("filter").addEventListener("submit", event => event.preventDefault());
at("zone").addEventListener("change", event => { view.zone = event.target.value; changed(); showFleet(); });
at("index").addEventListener("change", event => { view.index = event.target.value; remember(); refresh(); });
at("earlier").addEventListener("click", () => chart.pan(-0.5));
at("later").addEventListener("click", () => chart.pan(0.5));
at("closer").addEventListener("click", () => chart.zoom(0.5));
at("wider").addEventListener("click", () => chart.zoom(2));
at("whole").addEventListener("click", () => chart.onSpan());
at("enlarge").addEventListener("click", event => {
  const isLarge = at("map-card").classList.toggle("large");
  event.target.setAttribute("aria-pressed", String(isLarge));
});
at("zoom-in").addEventListener("click", () => map.zoom(0.6));
at("zoom-out").addEventListener("click", () => map.zoom(1.6));
at("zoom-all").addEventListener("click", () => map.fit());
window.addEventListener("hashchange", () => { recall(); showFleet(); changed(); });
onSchemeChange(() => chart.redraw());
at("administration").hidden = at("interface").hidden = at("first-steps").hidden = isPublic;
recall();
showControls();
// The server has stored the token as a cookie, so it is removed from the address and the history.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);
refresh();
