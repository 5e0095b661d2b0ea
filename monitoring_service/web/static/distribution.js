// A column's reference and window side by side: numbers as a histogram with a scale, categories as named bars.

import { bar, bars } from "./bars.js";
import { empty, make, refill, tableRow } from "./dom.js";
import { percent } from "./format.js";

const CATEGORIES_SHOWN = 12;

export class Distribution {
  constructor(place, column, service) {
    this.place = place;
    this.column = column;
    this.service = service;
    this.loading = false;
  }

  // What is there stays until something newer comes.
  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      this.show(await this.service.get(`/api/columns/${encodeURIComponent(this.column.name)}/distribution`));
    } catch (error) {
      if (!this.place.hasChildNodes()) this.place.replaceChildren(empty("The distribution can't be had now."));
      console.warn(error);
    } finally {
      this.loading = false;
    }
  }

  show(distribution) {
    refill(this.place, distribution, ({ kind, bins }) => {
      if (!bins?.length) return [empty("Nothing to compare yet: there is no reference, or no record.")];
      return [this.legend(), kind === "categories" || this.column.kind === "category" ? this.named(bins) : this.histogram(bins), this.table(bins)];
    });
  }

  legend() {
    return make(
      "p",
      { class: "legend" },
      make("span", {}, make("span", { class: "swatch reference" }), "reference"),
      make("span", {}, make("span", { class: "swatch window" }), "window"),
      make("span", {}, "share of records"),
    );
  }

  histogram(bins) {
    const chart = bars(
      bins.map(({ label, reference, window }) => ({ label, values: [reference ?? 0, window ?? 0] })),
      ["reference", "window"],
      { label: `${this.column.title}: shares in the reference and in the window; the table below has the figures`, write: percent },
    );
    const scale = make("p", { class: "scale", "aria-hidden": true }, make("span", {}, bins[0].label), make("span", {}, bins[bins.length - 1].label));
    return make("div", { class: "histogram" }, chart, scale);
  }

  // The most frequent ones, and those that moved most.
  named(bins) {
    const weight = ({ reference, window }) => Math.max(reference ?? 0, window ?? 0);
    const shown = [...bins].sort((one, other) => weight(other) - weight(one)).slice(0, CATEGORIES_SHOWN);
    const highest = Math.max(...shown.map(weight), Number.MIN_VALUE);
    const rows = shown.map((bin) => make(
      "li",
      {},
      make("span", { class: "label" }, bin.label),
      make("span", { class: "two" }, bar(bin.reference, highest, "reference"), bar(bin.window, highest, "window")),
      make("span", { class: "number" }, `${percent(bin.reference)} → ${percent(bin.window)}`),
    ));
    if (bins.length > shown.length) rows.push(make("li", { class: "more" }, `${bins.length - shown.length} rarer ones are in the table`));
    return make("ul", { class: "named" }, ...rows);
  }

  table(bins) {
    const head = make("tr", {}, ...["Values", "Reference", "Window"].map((text) => make("th", { scope: "col" }, text)));
    const body = bins.map(({ label, reference, window }) => tableRow(label, percent(reference), percent(window)));
    const table = make(
      "table",
      { class: "figures-table" },
      make("caption", { class: "unseen" }, `${this.column.title}: share of records by value`),
      make("thead", {}, head),
      make("tbody", {}, ...body),
    );
    return make("details", {}, make("summary", {}, "As a table"), make("div", { class: "scroll" }, table));
  }
}
