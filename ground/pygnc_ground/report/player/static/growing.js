// Tables that grow by batches. Their columns are views of larger arrays, so that a batch copies only itself.

export const ROWS_MAX = 40000; // as the server's: beyond, every second row is removed

const FIRST_ROWS = 256;

class GrowingTable {
  constructor() { Object.assign(this, { count: 0, arrays: {}, texts: {}, columns: {} }); }

  append(batch) {
    const added = batch.time.length, before = this.count ? this.arrays.time[this.count - 1] : -Infinity;
    for (const [name, column] of Object.entries(batch)) {
      const values = column.index ? this.renumbered(name, column) : column, old = this.arrays[name];
      if (!old || old.length < this.count + added) {
        const next = this.arrays[name] = new values.constructor(Math.max(FIRST_ROWS, 2 * (this.count + added)));
        if (old) next.set(old.subarray(0, this.count));
      }
      this.arrays[name].set(values, this.count);
    }
    this.count += added;
    if (!isAscending(batch.time, before)) this.keep(Uint32Array.from({ length: this.count }, (_, row) => row).sort((one, other) => this.arrays.time[one] - this.arrays.time[other]));
    if (this.count > ROWS_MAX) this.keep(Uint32Array.from({ length: Math.ceil(this.count / 2) }, (_, rank) => 2 * rank));
    for (const [name, array] of Object.entries(this.arrays)) {
      const view = array.subarray(0, this.count), texts = this.texts[name];
      this.columns[name] = texts ? { index: view, texts, at: row => row < 0 ? "" : texts[view[row]] } : view;
    }
  }

  // Indices of a batch's texts in the list of this table.
  renumbered(name, { index, texts }) {
    const known = this.texts[name] ??= [];
    const places = texts.map(text => { const place = known.indexOf(text); return place < 0 ? known.push(text) - 1 : place; });
    return index.map(place => places[place]);
  }

  // Keep these rows, in this order.
  keep(rows) {
    for (const array of Object.values(this.arrays)) array.set(array.constructor.from(rows, row => array[row]));
    this.count = rows.length;
  }
}

function isAscending(times, before) {
  for (const time of times) {
    if (time < before) return false;
    before = time;
  }
  return true;
}

export class GrowingTables {
  // tables: as those of a recording; the objects remain while their columns change.
  constructor() { Object.assign(this, { tables: {}, growing: {} }); }

  append(batch) {
    for (const [name, columns] of Object.entries(batch)) {
      const table = this.growing[name] ??= new GrowingTable();
      table.append(columns);
      this.tables[name] = table.columns;
    }
  }

  // First and last time of all tables; null without a row. Counters have the time of their record, after the estimates.
  span() {
    const some = Object.entries(this.tables).filter(([name, { time }]) => name !== "counters" && time.length);
    const times = some.map(([, { time }]) => time);
    return times.length ? [Math.min(...times.map(time => time[0])), Math.max(...times.map(time => time.at(-1)))] : null;
  }
}
