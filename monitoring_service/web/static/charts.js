// Line charts on uPlot, coloured by the page's own variables so that they follow its theme.

import { count, figure, tenths } from "./format.js";

const uPlot = window.uPlot;
const HEIGHT_PX = 170;
// Above, right, below, left: the last label of the axis below ends beyond the plot.
const PADDING_PX = [10, 28, 0, 0];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function minute(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function axis(values, size) {
  return {
    stroke: colour("soft"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
    values,
    size,
  };
}

function line(label, stroke, value, more = {}) {
  return { label, stroke: colour(stroke), width: 2, points: { show: false }, value, spanGaps: true, ...more };
}

// A chart that is built when there is something to show, and again when the theme changes.
class Chart {
  constructor(place, emptyText) {
    this.place = place;
    this.emptyText = emptyText;
    this.plot = null;
    this.data = null;
    this.showEmpty();
    new ResizeObserver(() => this.fit()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  showEmpty() {
    const text = document.createElement("p");
    text.className = "empty";
    text.textContent = this.emptyText;
    this.place.replaceChildren(text);
  }

  // The legend below takes the height it needs.
  size() {
    return { width: this.place.clientWidth, height: HEIGHT_PX };
  }

  fit() {
    if (this.plot && this.place.clientWidth) this.plot.setSize(this.size());
  }

  show(data) {
    this.data = data;
    if (data[0].length === 0) this.clear();
    else if (this.plot) this.plot.setData(data);
    else this.rebuild();
    this.readNewest();
  }

  // Lines of another metric must not stay where this one has none.
  clear() {
    if (!this.plot) return;
    this.plot.destroy();
    this.plot = null;
    this.showEmpty();
  }

  // The legend tells the newest values while nobody points at others.
  readNewest() {
    if (this.plot && this.data[0].length && !this.place.matches(":hover")) this.plot.setLegend({ idx: this.data[0].length - 1 }, false);
  }

  rebuild() {
    if (!this.data || this.data[0].length === 0) return;
    this.plot?.destroy();
    this.place.replaceChildren();
    this.plot = new uPlot({ ...this.size(), padding: PADDING_PX, ...this.options() }, this.data, this.place);
  }
}

export class ThroughputChart extends Chart {
  options() {
    const written = (_, value) => (value === null ? "–" : count(value));
    return {
      cursor: { y: false },
      scales: { x: { time: true }, y: { range: (_, __, highest) => [0, Math.max(1, highest * 1.15)] } },
      axes: [axis((_, ticks) => ticks.map(minute), 34), axis((_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : "")), 52)],
      series: [
        { label: "Time", value: (_, value) => (value === null ? "–" : minute(value)) },
        line("records a second", "accent", written, { fill: `${colour("accent")}22` }),
      ],
    };
  }
}

// Lines over the row counter: `lines` are { label, stroke, dash } in the order of the data.
export class RowChart extends Chart {
  constructor(place, emptyText, lines, { shares }) {
    super(place, emptyText);
    this.lines = lines;
    this.shares = shares;
  }

  options() {
    const write = this.shares ? tenths : figure;
    const written = (_, value) => (value === null || value === undefined ? "–" : write(value));
    return {
      cursor: { y: false },
      scales: { x: { time: false }, y: { range: (_, lowest, highest) => this.range(lowest, highest) } },
      axes: [axis((_, ticks) => ticks.map(count), 34), axis((_, ticks) => ticks.map(write), 58)],
      series: [
        { label: "Record", value: (_, value) => (value === null ? "–" : count(value)) },
        ...this.lines.map(({ label, stroke, dash }) => line(label, stroke, written, { dash, width: dash ? 1.5 : 2 })),
      ],
    };
  }

  range(lowest, highest) {
    if (lowest === null) return [0, 1];
    const room = Math.max((highest - lowest) * 0.15, this.shares ? 0.02 : Math.abs(highest) * 0.02);
    return this.shares ? [Math.max(0, lowest - room), Math.min(1, highest + room)] : [lowest - room, highest + room];
  }
}
