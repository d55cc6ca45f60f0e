// Times in a time zone that the user chooses: that of the browser, that of the station, or UTC.

export const BROWSER_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
let zone = "UTC", formats = new Map();

export function setZone(name) { zone = name; }

function wall(ms) {
  if (!formats.has(zone)) {
    const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
    formats.set(zone, new Intl.DateTimeFormat("sv-SE", { ...parts, timeZone: zone }));
  }
  return formats.get(zone).format(ms);
}

// Text of a time with the name of the zone.
export function time(ms, { hasMilliseconds = false } = {}) {
  const fraction = hasMilliseconds ? `.${String(ms % 1000).padStart(3, "0")}` : "";
  return `${wall(ms)}${fraction} ${zone}`;
}

// Value of an input of the type datetime-local.
export function toInput(ms) { return wall(ms).slice(0, 16).replace(" ", "T"); }

// Time of such an input. The offset of the zone is that before the text's time, and again after its correction.
export function fromInput(text) {
  const local = Date.parse(`${text}Z`);
  let ms = local;
  for (let round = 0; round < 2; round++) ms = local - (Date.parse(`${wall(ms).replace(" ", "T")}Z`) - ms);
  return ms;
}
