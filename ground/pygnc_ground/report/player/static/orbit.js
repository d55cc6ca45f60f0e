// Motion of the satellites between the records: position, attitude, partners, Sun and the Earth's rotation.

import { countUntil } from "./cursor.js";

const BRIDGED_MS = 300000, STALE_STEPS = 3, RAD = Math.PI / 180, DAY_MS = 86400000;
const J2000_MS = 946728000000, OBLIQUITY = 23.439 * RAD, PRECESSION_DEG = 1.3970 / 36525;
export const { Vector3, Quaternion, Matrix4 } = globalThis.THREE ?? {};

// Row at or before a time, share of the step to the next one, and whether the next one is near enough to join.
function place(times, time, bridged = BRIDGED_MS) {
  const row = countUntil(times, time + 0.5) - 1;
  if (row < 0 || row === times.length - 1) return { row, share: 0, isJoined: false, age: row < 0 ? Infinity : time - times[row] };
  const step = times[row + 1] - times[row];
  return { row, share: step ? (time - times[row]) / step : 0, isJoined: step <= bridged, age: time - times[row] };
}

const vector = (table, [x, y, z], row) => new Vector3(table[x][row], table[y][row], table[z][row]);
const isKnown = ({ x, y, z }) => Number.isFinite(x + y + z);

function daysSince2000(time) { return (time - J2000_MS) / DAY_MS; }

// Vector between two directions from the Earth's centre, along the great circle.
export function along(one, other, share) {
  const angle = one.angleTo(other);
  if (angle < 1e-6) return one.clone().lerp(other, share);
  const length = one.length() + share * (other.length() - one.length());
  return one.clone().multiplyScalar(Math.sin((1 - share) * angle) / one.length())
    .addScaledVector(other, Math.sin(share * angle) / other.length()).setLength(length);
}

export class Motion {
  constructor({ tables, about }) {
    Object.assign(this, { tables, about });
  }

  // Rotation from ITRF to GCRF by the Earth rotation angle alone: precession and nutation move the globe by a pixel.
  gcrfFromItrf(time) {
    const turns = 0.779057273264 + 1.00273781191135448 * daysSince2000(time);
    return new Matrix4().makeRotationZ(2 * Math.PI * (turns % 1));
  }

  // Direction of the Sun in GCRF within 0.03 degrees, by the formula of the Astronomical Almanac.
  sun(time) {
    const days = daysSince2000(time), anomaly = RAD * (357.528 + 0.9856003 * days);
    const equinox = 280.46 + 0.9856474 * days - PRECESSION_DEG * days;
    const longitude = RAD * (equinox + 1.915 * Math.sin(anomaly) + 0.02 * Math.sin(2 * anomaly));
    return new Vector3(Math.cos(longitude), Math.sin(longitude) * Math.cos(OBLIQUITY), Math.sin(longitude) * Math.sin(OBLIQUITY));
  }

  // Position in m in GCRF, or null where it is unknown.
  position(time) {
    const { orbit } = this.tables;
    if (!orbit) return null;
    const { row, share, isJoined, age } = place(orbit.time, time);
    const rows = [row, row + 1].map(each => each >= 0 && each < orbit.time.length ? vector(orbit, ["x", "y", "z"], each) : null);
    if (!rows[0] || !isKnown(rows[0])) return null;
    if (isJoined && rows[1] && isKnown(rows[1])) return along(rows[0], rows[1], share);
    return age <= BRIDGED_MS ? rows[0] : null;
  }

  // Quaternion from body to GCRF in a table, attitude or truth; or null.
  attitude(time, table = "attitude") {
    const of = this.tables[table];
    if (!of) return null;
    const { row, share, isJoined, age } = place(of.time, time, 60000);
    const at = each => new Quaternion(...["qx", "qy", "qz", "qw"].map(name => of[name][each] ?? NaN));
    const one = at(row);
    if (row < 0 || !Number.isFinite(one.w)) return null;
    const next = isJoined ? at(row + 1) : null;
    if (next && Number.isFinite(next.w)) return one.slerp(next, share).normalize();
    return age <= 60000 ? one.normalize() : null;
  }

  mode(time) {
    const { attitude } = this.tables;
    return attitude ? attitude.mode.at(countUntil(attitude.time, time + 0.5) - 1) : "";
  }

  // Magnetic field in GCRF by the model, or in body axes as measured; or null.
  field(time, prefix) {
    const { attitude } = this.tables;
    if (!attitude?.[`${prefix}_x`]) return null;
    const { row, age } = place(attitude.time, time);
    if (row < 0 || age > 60000) return null;
    const found = vector(attitude, [`${prefix}_x`, `${prefix}_y`, `${prefix}_z`], row);
    return isKnown(found) ? found : null;
  }

  isEclipse(time) { return this.about.eclipses.some(([start, end]) => time >= start && time < end); }

  // State of a partner in m along radial, transverse, normal; or null before the first one.
  partner(of, time) {
    const table = this.tables[of.table];
    if (!table) return null;
    const { row, share, isJoined, age } = place(table.time, time);
    if (row < 0) return null;
    const at = prefix => {
      const names = ["r", "t", "n"].map(axis => prefix + axis);
      if (!table[names[0]]) return null;
      const one = vector(table, names, row), next = isJoined ? vector(table, names, row + 1) : null;
      if (!isKnown(one)) return null;
      return next && isKnown(next) ? one.lerp(next, share) : one;
    };
    const position = at("");
    if (!position) return null;
    const covariance = ["rr", "tr", "tt", "nr", "nt", "nn"].map(name => table[name][row]);
    const step = table.time.length > 1 ? (table.time.at(-1) - table.time[0]) / (table.time.length - 1) : 0;
    const isStale = age > Math.max(BRIDGED_MS, STALE_STEPS * step);
    return { position, mirror: at("mirror_"), truth: at("true_"), covariance, isAmbiguous: table.state.at(row) === "ambiguous", isStale };
  }

  // Distance in m within which the partners are most of the time.
  reach() {
    const lengths = [];
    for (const { table } of this.about.partners) {
      const of = this.tables[table];
      if (of) of.time.forEach((_, row) => { const length = Math.hypot(of.r[row], of.t[row], of.n[row]); if (Number.isFinite(length)) lengths.push(length); });
    }
    lengths.sort((one, other) => one - other);
    return lengths[Math.floor(0.8 * lengths.length)] || 1000;
  }

  // Axes of our orbit in GCRF as the columns of a rotation: radial, transverse, normal; or null.
  axes(time) {
    const here = this.position(time);
    for (const sign of here ? [1, -1] : []) {
      const there = this.position(time + 1000 * sign);
      if (!there || there.distanceTo(here) < 1) continue; // beside the only record, or behind the last one
      const radial = here.clone().normalize(), normal = here.clone().cross(there.sub(here).multiplyScalar(sign)).normalize();
      return new Matrix4().makeBasis(radial, normal.clone().cross(radial), normal);
    }
    return null;
  }
}

// Colour of a partner in a state.
export function roleOf({ isStale, isAmbiguous }) { return isStale ? "--muted" : isAmbiguous ? "--look" : "--good"; }

// Lower triangle of L with the covariance L L', as the columns of a matrix; or null if it is not positive.
export function cholesky([rr, tr, tt, nr, nt, nn]) {
  const a = Math.sqrt(rr), b = tr / a, c = nr / a, d = Math.sqrt(tt - b * b), e = (nt - c * b) / d, f = Math.sqrt(nn - c * c - e * e);
  return Number.isFinite(a + b + c + d + e + f) ? [a, b, c, d, e, f] : null;
}
