// Performance by windows that don't overlap: each is restated as late labels come, and then stays.

import { RowChart } from "./charts.js";
import { byId, empty, make, refill, tableRow } from "./dom.js";
import { NONE, count, figure, interval, percent } from "./format.js";

const EVERY_MS = 5000;
const WINDOWS_LISTED = 12;
const LINES = [
  { label: "realised", stroke: "accent" },
  { label: "low", stroke: "third", dash: [2, 3] },
  { label: "high", stroke: "third", dash: [2, 3] },
];

export class PerformanceWindows {
  constructor(shown, service) {
    this.service = service;
    this.select = byId("quality-figure");
    this.figures = shown.quality_figures;
    this.chart = new RowChart(byId("chart-windows"), "No labels yet", LINES, { shares: false });
    this.windows = [];
    this.askedAt = 0;
    this.select.addEventListener("change", () => this.draw());
  }

  // They change with labels only, so they are asked for less often than the state.
  async follow(state) {
    this.chart.readNewest();
    const isDue = Date.now() - this.askedAt >= EVERY_MS;
    if (!isDue || !state.totals.predictions) return;
    this.askedAt = Date.now();
    this.version = state.model?.version;
    try {
      this.windows = await this.service.get("/api/quality-windows");
      this.draw();
    } catch (error) {
      console.warn(error);
    }
  }

  draw() {
    const name = this.select.value;
    // Two versions may share a window: the line is of the one in use, the table has both.
    const windows = this.windows.filter(({ version }) => version === this.version);
    const read = (part) => windows.map(({ figures }) => figures[name]?.[part] ?? null);
    const values = read("value");
    this.chart.show(values.some((value) => value !== null) ? [windows.map(({ last_row: row }) => row), values, read("low"), read("high")] : [[]]);
    refill(byId("restated-table"), [name, this.windows.slice(-WINDOWS_LISTED)], ([, newest]) => this.table(name, newest.reverse()));
  }

  table(name, windows) {
    if (windows.length === 0) return [make("tbody", {}, make("tr", {}, make("td", {}, empty("No window yet."))))];
    const title = this.figures.find((known) => known.name === name)?.title ?? name;
    const heads = ["Records", "Version", "Labelled", title];
    const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    const rows = windows.map((window) => {
      const known = window.figures[name];
      return tableRow(
        `${count(window.first_row)} to ${count(window.last_row)}`,
        window.version,
        window.rows ? `${count(window.labelled_rows)} (${percent(window.labelled_rows / window.rows)})` : NONE,
        known ? make("td", {}, make("span", {}, figure(known.value)), make("small", {}, interval(known))) : NONE,
      );
    });
    return [head, make("tbody", {}, ...rows)];
  }
}
