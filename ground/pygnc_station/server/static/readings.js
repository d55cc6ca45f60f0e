// Values of gadgets: which can be plotted, in which unit, and the series of a plot.

import { COLOURS } from "./components/plot.js";
import { element } from "./components/theme.js";
import { DAY_MS, label, text } from "./format.js";
import { time } from "./zone.js";

export const RANGES = { day: DAY_MS, week: 7 * DAY_MS, month: 31 * DAY_MS, year: 366 * DAY_MS };
const CELL = /^((?:string_\d+_)?cell_\d+)_(.+)$/;
const STATUS = /(^|_)(flags?|status|state|stage|errors?|faults?|protections?|rejects?|rejected|checksum|serial|version|sequence|glitch\w*)(_|$)/;

export async function get(path, query = {}) {
  const answer = await fetch(`api/v1/${path}?${new URLSearchParams(query)}`);
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { isRefusal: true, status: answer.status });
  return content;
}

// Order of the values: PM2.5, other concentrations, other quantities, times, numbers without a unit.
function rank(name, unit) {
  if (/pm_?2[._]?5/.test(name)) return 0;
  if (!unit) return 4;
  return unit.includes("g/m") ? 1 : /^[mµun]?s$/.test(unit) ? 3 : 2;
}

// True for what an instrument reports about itself: codes, flags, counters and times, in contrast to measurements.
export function isStatus(reading, name) {
  const value = reading.values[name], unit = reading.units[name] || "";
  if (typeof value !== "number" || reading.words[name] !== undefined || /^[mµun]?s$/.test(unit)) return true;
  return !unit && STATUS.test(name);
}

export function ordered(reading) {
  const place = name => rank(name, reading.units[name]) + (isStatus(reading, name) ? 10 : 0);
  return Object.entries(reading.values).sort(([one], [other]) => place(one) - place(other));
}

// Customary name, unit and factor of a value: Ah, where the API has coulombs.
export function customary(reading, name) {
  const { unit, per_unit } = reading.people[name] || { unit: reading.units[name] || "", per_unit: 1 };
  return { name: label(name), unit, per_unit };
}

// Values of newest readings that can be plotted. All cells of a battery together are one choice.
export function choices(readings) {
  const found = new Map();
  for (const reading of readings) {
    for (const [name, value] of ordered(reading)) {
      if (typeof value !== "number" || found.has(name)) continue;
      const told = customary(reading, name), cell = name.match(CELL);
      if (cell) {
        const id = `cells ${cell[2]}`;
        const group = found.get(id) || { id, title: `${label(cell[2])} of all cells`, unit: told.unit, perUnit: told.per_unit, names: [] };
        group.names.push(name);
        found.set(id, group);
      }
      found.set(name, { id: name, title: told.name, unit: told.unit, perUnit: told.per_unit, names: [name], rank: rank(name, told.unit), isStatus: isStatus(reading, name) });
    }
  }
  return [...found.values()].sort((one, other) => (one.rank ?? 0) - (other.rank ?? 0));
}

function colorOf(place, count) {
  return count <= COLOURS.length ? COLOURS[place] : `hsl(${Math.round(place * 360 / count)} 65% 50%)`;
}

// Series of a plot: each gadget and name, as stored, corrected or both.
export async function load(gadgets, choice, { start, end, form, correction }) {
  const wanted = gadgets.flatMap(gadget => choice.names.map(name => ({ gadget, name })));
  const span = { timestamp__gte: new Date(start).toISOString(), timestamp__lte: new Date(end).toISOString() };
  const forms = correction === "both" ? [false, true] : [correction === "corrected"];
  const each = await Promise.all(wanted.map(async ({ gadget, name }, place) => {
    const answers = await Promise.all(forms.map(corrected => get("series/", { gadget, name, form, corrected, ...span })));
    const title = [gadgets.length > 1 || choice.names.length === 1 ? gadget : "", choice.names.length > 1 ? label(name.match(CELL)[1]) : ""];
    const isPaired = answers.length > 1 && answers[1].corrected;
    return answers.slice(0, isPaired ? 2 : 1).map((answer, order) => ({
      gadget,
      title: title.filter(Boolean).join(" ") + (answer.corrected ? ", corrected" : isPaired ? ", stored" : ""),
      color: colorOf(place, wanted.length),
      isDashed: isPaired && order === 0,
      stepMs: answer.step_ms || 0,
      points: answer.points.map(([ms, ...values]) => [ms, ...values.map(value => value * choice.perUnit)]),
    }));
  }));
  return each.flat();
}

// How often the daily means of gadgets exceed the limits of a value, as the rows of a table: limit, and one per gadget.
export async function exceeded(gadgets, choice, { start, end, correction }) {
  const span = { timestamp__gte: new Date(start).toISOString(), timestamp__lte: new Date(end).toISOString() };
  const query = { name: choice.names[0], corrected: correction !== "stored", ...span };
  const answers = await Promise.all(gadgets.map(gadget => get("limits/", { gadget, ...query })));
  return answers[0].results.map((limit, rank) => ({ ...limit, of: answers.map(({ results }) => results[rank]) }));
}

// Newest readings of a gadget as tables, whose buttons plot a value.
export function details(readings, chosen, onChosen, { hasExport }) {
  return readings.map(reading => {
    const body = element("tbody");
    let hasStatus = false;
    for (const [name, value] of ordered(reading)) {
      if (isStatus(reading, name) && !hasStatus) {
        hasStatus = true;
        if (body.rows.length) body.append(element("tr", { class: "section" }, element("th", { colspan: 3, scope: "rowgroup" }, "Status")));
      }
      const told = customary(reading, name);
      const title = typeof value === "number"
        ? element("button", { type: "button", class: "link", title: name, "data-key": `${reading.kind} ${name}`, onclick: () => onChosen(name) }, told.name)
        : told.name;
      body.append(element("tr", { class: name === chosen ? "chosen" : null },
        element("td", {}, title),
        element("td", { class: "number" }, text(typeof value === "number" ? value * told.per_unit : value)),
        element("td", {}, told.unit || reading.words[name] || "")));
    }
    const doubts = [...reading.flags, ...reading.quality.filter(flag => flag !== "DEVICE").map(flag => flag.toLowerCase())];
    return element("div", {},
      element("h3", {}, `${reading.kind} `, !hasExport ? "" : element("a", { href: `api/v1/export/?${new URLSearchParams({ gadget: reading.gadget, kind: reading.kind })}`, "aria-label": `All readings of the kind ${reading.kind} as CSV` }, "CSV")),
      element("p", { class: doubts.length ? "note doubt" : "note" },
        `${time(Date.parse(reading.timestamp), { hasMilliseconds: true })}${doubts.length ? ` (${doubts.join(", ")})` : ""}`),
      element("table", {}, body));
  });
}
