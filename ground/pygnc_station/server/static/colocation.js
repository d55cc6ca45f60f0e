// Co-location of a unit and a reference: the fit with its residuals, and its use as the unit's calibration.

import { LinePlot } from "./components/plot.js";
import { SortedTable } from "./components/tables.js";
import { element, number } from "./components/theme.js";
import { fromInput, time } from "./zone.js";

const at = id => document.getElementById(id);
const FIRST_VALUE = "pm_2_5_ug_m3", FEW_DAYS = 14;
const iso = text => text ? new Date(fromInput(text)).toISOString() : "";

export class CoLocation {
  // send, act and action are those of the page: a request, a change with its message, and a button of a table.
  constructor({ send, act, action }) {
    Object.assign(this, { send, act, values: {}, body: null, plots: [], whole: [0, 1] });
    this.form = at("colocation");
    this.table = new SortedTable(at("calibrations"), [
      { title: "Number", kind: "number", sort: each => each.id, cell: each => String(each.id) },
      { title: "Gadget", sort: each => each.gadget_id, cell: each => each.gadget_id },
      { title: "Value", cell: each => each.name },
      { title: "From", sort: each => each.calibration.since_ms, cell: each => time(each.calibration.since_ms) },
      ...["gain", "offset", "kappa"].map(name => ({ title: name, kind: "number", cell: each => number(each.calibration[name]) })),
      { title: "Reference", kind: "minor", cell: each => each.reference },
      { title: element("span", { class: "unseen" }, "Actions"), cell: each => action("Remove", `Remove calibration ${each.id}`, () => window.confirm(`Remove calibration ${each.id}? Readings are unchanged.`) && act(() => send("DELETE", `admin/calibrations/${each.id}/`), `Calibration ${each.id} was removed.`)) },
    ], { column: 1 });
    this.form.addEventListener("submit", event => { event.preventDefault(); this.compare(); });
    this.form.addEventListener("change", event => this.change(event.target));
    at("apply").addEventListener("submit", event => { event.preventDefault(); this.apply(); });
    new ResizeObserver(() => this.draw(...this.span)).observe(at("residuals"));
  }

  get span() { return this.zoomed || this.whole; }

  // Show the gadgets, their values and the calibrations of the store.
  show(values, calibrations) {
    this.values = values;
    for (const name of ["gadget", "reference"]) this.fill(name, Object.keys(values));
    this.fillValues();
    at("calibrations-box").hidden = !calibrations.length;
    this.table.show(calibrations);
  }

  fill(name, choices) {
    const select = this.form.elements[name], chosen = select.value;
    select.replaceChildren(...choices.map(each => element("option", { value: each }, each)));
    select.value = choices.includes(chosen) ? chosen : choices.includes(FIRST_VALUE) ? FIRST_VALUE : choices[0] ?? "";
  }

  fillValues() {
    const { gadget, reference } = this.form.elements;
    this.fill("value", this.values[gadget.value] ?? []);
    this.fill("reference_value", this.values[reference.value] ?? []);
  }

  // What is shown no longer belongs to the form.
  change(field) {
    if (field.name === "gadget" || field.name === "reference") this.fillValues();
    at("comparison").hidden = true;
  }

  compare() {
    const { gadget, reference, value, reference_value, since, until, humidity } = this.form.elements;
    const body = {
      gadget: gadget.value, reference: reference.value, value: value.value, reference_value: reference_value.value,
      since: iso(since.value), until: iso(until.value), humidity: humidity.checked,
    };
    return this.act(async () => {
      at("comparison").hidden = true;
      const found = await this.send("POST", "admin/co-locations/", body);
      this.body = body;
      this.report(found);
      return found;
    }, found => `${body.gadget} beside ${body.reference}: ${found.hours} hours on ${found.days} days. Nothing was changed.`);
  }

  apply() {
    const from = iso(at("apply").elements.from.value);
    return this.act(() => this.send("POST", "admin/calibrations/", { ...this.body, apply_from: from }),
      found => `Calibration ${found.calibration} is in effect for values from ${time(Date.parse(from))} on.`);
  }

  report(found) {
    at("comparison").hidden = false;
    const fields = found.is_wet ? ["gain", "offset", "kappa"] : ["gain", "offset"];
    const rows = (caption, head, lines) => element("table", {}, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...head.map((title, rank) => element("th", { scope: "col", class: rank ? "number" : null }, title)))),
      element("tbody", {}, ...lines.map(([title, ...cells]) => element("tr", {}, element("th", { scope: "row" }, title), ...cells.map(cell => element("td", { class: "number" }, cell))))));
    at("fit").replaceChildren(
      rows("Fit", ["", "value", "std. dev."], fields.map((name, rank) => [name, number(found.fit[rank]), number(found.sigma[rank], 2)])),
      rows("Difference to the reference", ["", "as stored", "corrected"], [["mean", "mean"], ["RMS", "rms"], ["correlation", "correlation"]].map(([title, name]) => [title, number(found.stored[name]), number(Math.abs(found.corrected[name]) < 1e-9 ? 0 : found.corrected[name])])),
      ...(found.by_humidity.length ? [rows("Mean residual by humidity", ["humidity", "hours", "residual"], found.by_humidity.map(([low, high, hours, mean]) => [`${low} to ${high} %`, String(hours), number(mean, 3)]))] : []));
    at("fit-notes").textContent = [
      `The residual drifts by ${number(found.drift_per_month, 3)} in 30 days.`,
      found.left_out ? `${found.left_out} hours with too few readings were left out.` : "",
      found.days < FEW_DAYS ? `${found.days} days are few for an uncertainty; ${FEW_DAYS} or more are better.` : "",
    ].join(" ");
    this.plot(found.pairs);
  }

  plot(pairs) {
    this.plots.forEach(each => each.close());
    at("residuals").replaceChildren();
    const column = rank => Float64Array.from(pairs, pair => pair[rank]);
    const [times, stored, reference, corrected] = [0, 1, 2, 3].map(column), common = { unit: "1", times };
    const actions = { onTime: ms => this.plots.forEach(each => each.mark(ms)), onSpan: (start, end) => this.zoom(start, end) };
    this.whole = [times[0], times[times.length - 1]];
    this.zoomed = null;
    if (!window.uPlot) {
      at("residuals").append("The server has no libraries for charts. In a checkout, run “make frontend” and start the server again.");
      this.plots = [];
      return;
    }
    this.plots = [
      new LinePlot(at("residuals"), { ...common, title: "Hourly means", lines: [{ label: "corrected", values: corrected }, { label: "reference", values: reference }, { label: "as stored", values: stored }] }, actions),
      new LinePlot(at("residuals"), { ...common, title: "Residual: reference minus corrected", lines: [{ label: "residual", values: reference.map((value, row) => value - corrected[row]) }], limits: [0] }, actions),
    ];
    this.draw(...this.span);
  }

  zoom(start, end) {
    this.zoomed = start === undefined ? null : [start, end];
    this.draw(...this.span);
  }

  draw(start, end) { this.plots.forEach(each => each.show(start, end)); }

  redraw() { this.plots.forEach(each => each.redraw()); }
}
