// Tables whose rows can be sorted by a button in each heading.

import { element } from "./theme.js";

const ORDERS = { 1: "ascending", [-1]: "descending" };
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

// Missing values come last in both directions.
function compare(one, other, direction) {
  const missing = value => value === null || value === undefined || Number.isNaN(value);
  if (missing(one) || missing(other)) return missing(one) - missing(other);
  const order = typeof one === "number" && typeof other === "number" ? one - other : collator.compare(String(one), String(other));
  return order * direction;
}

export class SortedTable {
  // columns: title, sort (value of a row, or null), cell (content of a row), and kind (class of the cells).
  constructor(table, columns, { column = 0, direction = 1, mark = () => false } = {}) {
    this.columns = columns;
    this.mark = mark;
    this.rows = [];
    this.column = column;
    this.direction = direction;
    this.head = table.createTHead().insertRow();
    this.body = table.createTBody();
    columns.forEach((each, rank) => {
      const title = each.sort ? element("button", { type: "button", onclick: () => this.sortBy(rank) }, each.title) : each.title;
      this.head.append(element("th", { scope: "col", class: each.kind }, title));
    });
  }

  sortBy(rank) {
    this.direction = rank === this.column ? -this.direction : this.columns[rank].first || 1;
    this.column = rank;
    this.show(this.rows);
  }

  show(rows) {
    this.rows = rows;
    const { sort } = this.columns[this.column];
    const sorted = rows.map(row => [sort(row), row]).sort(([one], [other]) => compare(one, other, this.direction));
    [...this.head.cells].forEach((cell, rank) => {
      if (this.columns[rank].sort) cell.setAttribute("aria-sort", rank === this.column ? ORDERS[this.direction] : "none");
    });
    const focused = document.activeElement?.dataset?.key;
    this.body.replaceChildren(...sorted.map(([, row]) => this.line(row)));
    // A refresh must not take the focus away from somebody who uses the keyboard.
    if (focused) [...this.body.querySelectorAll("[data-key]")].find(node => node.dataset.key === focused)?.focus();
  }

  line(row) {
    const cells = this.columns.map(each => element("td", { class: each.kind }, ...[each.cell(row)].flat()));
    return element("tr", { class: this.mark(row) ? "chosen" : null }, ...cells);
  }
}
