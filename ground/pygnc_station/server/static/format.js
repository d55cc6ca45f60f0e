// Texts of values, times and sizes.

import { number } from "./components/theme.js";

export const MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 86400000;

export function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value, 5);
  if (Array.isArray(value)) return value.map(text).join(" ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// A time ahead of the clock is that of a station whose clock is wrong.
export function age(ms) {
  if (ms < -MINUTE_MS) return `${span(-ms / 1000)} ahead`;
  return `${span(Math.max(0, ms / 1000))} ago`;
}

function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${number(count / 1e9, 3)} GB`;
}

// State of a gadget by the age of its newest reading, as for gateways by default.
export function stateOf(ageMs) {
  return ageMs < 40 * MINUTE_MS ? "fine" : ageMs < 120 * MINUTE_MS ? "late" : "silent";
}

const UNITS = /_(ug_m3|degc|deg|percent|per_cm3|ml_s|ml|us|um|kmh|km|wh_km|wh|rad_s|m_s2|hz|s|v|a|c)$/;

// Readable name of a value: PM2.5 for pm_2_5_ug_m3, "cell 8 voltage" for cell_8_voltage_v.
export function label(name) {
  const particles = name.match(/^pm_?(\d+)(?:[._](\d+))?(_ug_m3)?$/);
  if (particles) return particles[1] === "25" ? "PM2.5" : `PM${particles[1]}${particles[2] ? `.${particles[2]}` : ""}`;
  return name.replace(UNITS, "").replaceAll("_", " ");
}
