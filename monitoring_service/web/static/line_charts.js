// The lines of the page over time and records: throughput, what is predicted, and one metric of performance at a time.

import { RowChart, ThroughputChart } from "./charts.js";
import { byId } from "./dom.js";

const THROUGHPUT_S = 180;
const PERFORMANCE_LINES = [
  { label: "realised", stroke: "accent" },
  { label: "estimated", stroke: "second", dash: [6, 4] },
  { label: "reference", stroke: "soft", dash: [2, 4] },
];

export class LineCharts {
  constructor(shown) {
    this.mixLines = shown.mix_lines;
    this.metric = byId("quality-figure");
    this.throughput = new ThroughputChart(byId("chart-throughput"), "No record in the last minutes");
    this.mix = new RowChart(byId("chart-mix"), "Shown from the first check on", shown.mix_lines, { shares: shown.shares });
    this.performance = new RowChart(byId("chart-quality"), "Shown once labels have come, or an estimate", PERFORMANCE_LINES, { shares: false });
    this.metric.addEventListener("change", () => this.last && this.draw(...this.last));
  }

  draw(history, state) {
    this.last = [history, state];
    this.throughput.show(history.arrivals.length || this.throughput.plot ? history.throughput(THROUGHPUT_S) : [[]]);
    const signature = `${history.firstRow} ${history.lastRow} ${this.metric.value}`;
    if (signature === this.drawn) {
      this.mix.readNewest();
      this.performance.readNewest();
      return;
    }
    this.drawn = signature;
    const rows = history.rows();
    const reference = state.prediction_mix?.reference ?? {};
    this.mix.show([
      rows,
      ...this.mixLines.map(({ name, of }) =>
        history.series((check) => (of === "reference" ? reference[name] : check.mix[name]))),
    ]);
    this.drawPerformance(history, rows, state.quality?.reference?.[this.metric.value]);
  }

  drawPerformance(history, rows, reference) {
    const name = this.metric.value;
    const lines = [
      history.series((check) => check.performance?.[name]),
      history.series((check) => check.estimated?.[name]),
    ];
    const isKnown = lines.some((values) => values.some((value) => value !== null));
    this.performance.show(isKnown ? [rows, ...lines, rows.map(() => reference ?? null)] : [[]]);
  }
}
