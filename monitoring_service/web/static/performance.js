// How good predictions are: what labels say, what is estimated without them, and what the reference gave.

import { whisker } from "./bars.js";
import { byId, empty, make, refill, tableRow, write } from "./dom.js";
import { NONE, count, figure, interval, percent, signed } from "./format.js";

export class Performance {
  constructor(shown) {
    this.names = shown.quality_figures;
    this.headline = shown.headline;
    this.asShare = shown.losses_are_shares;
    this.titles = new Map(shown.columns.map(({ name, title }) => [name, title]));
  }

  show(quality) {
    write(byId("quality-caption"), this.caption(quality));
    refill(byId("quality-table"), quality, () => this.table(quality));
    refill(byId("segments"), quality?.segments ?? [], (segments) => this.segments(segments, quality));
    write(byId("gap"), this.gap(quality));
    const target = quality?.target;
    write(byId("target-drift"), target?.effect === null || target?.effect === undefined
      ? "Labels against the reference's: not known yet."
      : `Labels against the reference's: ${percent(target.effect)} moved.`);
  }

  caption(quality) {
    if (!quality) return "Shown from the first check on";
    const share = quality.labelled_share === null || quality.labelled_share === undefined ? "" : `; ${percent(quality.labelled_share)} of the window's records have their label`;
    const labels = quality.labelled_rows ? `${count(quality.labelled_rows)} labelled records` : "no labels yet";
    return `Version ${quality.model.version}: ${labels}${share}`;
  }

  table(quality) {
    const known = this.names.filter(({ name }) => quality?.figures?.[name] || quality?.estimated?.[name] || quality?.reference?.[name] !== undefined);
    if (known.length === 0) return [make("tbody", {}, make("tr", {}, make("td", {}, empty("No metrics yet: there are too few labels, and no estimate."))))];
    const heads = ["Metric", "Realised", "Estimated", "Reference"];
    const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    const rows = known.map(({ name, title, unit }) => tableRow(
      make("span", {}, title, unit ? make("small", {}, unit) : null),
      this.valued(quality.figures?.[name]),
      this.valued(quality.estimated?.[name]),
      figure(quality.reference?.[name]),
    ));
    return [head, make("tbody", {}, ...rows)];
  }

  valued(known) {
    if (!known) return NONE;
    return make("td", {}, make("span", {}, figure(known.value)), make("small", {}, interval(known)));
  }

  // Positive is worse than estimated: the model's scores promise more than its answers keep.
  gap(quality) {
    const known = quality?.gap?.[this.headline.name];
    if (!known) return "Gap between realised and estimated: not known yet.";
    const direction = known.value > 0 ? "worse than" : "at least as good as";
    const ends = interval(known, this.asShare);
    return `${this.headline.title} is ${direction} estimated for the same labelled records: gap ${signed(known.value, this.asShare)}${ends ? ` (${ends})` : ""}.`;
  }

  segments(segments, quality) {
    const named = segments.filter((segment) => segment.labelled_rows > 0);
    if (named.length === 0) return [empty(segments.length ? "No labels yet." : "Shown once labels have come, where the case declares segments.")];
    const overall = quality.figures?.[this.headline.name]?.value;
    const ends = named.flatMap(({ figures }) => Object.values(figures[this.headline.name] ?? {})).filter((end) => end !== null);
    const scale = [Math.min(...ends, overall ?? Infinity), Math.max(...ends, overall ?? -Infinity)];
    const columns = [...new Set(named.map(({ column }) => column))];
    return columns.map((column) => this.ofColumn(column, named.filter((segment) => segment.column === column), overall, scale));
  }

  ofColumn(column, segments, overall, scale) {
    const heads = [this.titles.get(column) ?? column, "Labelled", this.headline.title, "95 % interval"];
    const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    const rows = segments.map(({ value, labelled_rows: labelled, figures }) => {
      const known = figures[this.headline.name];
      const told = known ? make("td", { class: "whisk" }, whisker(known, overall, scale), make("small", {}, interval(known))) : make("td", {}, "too few labels");
      return tableRow(value, count(labelled), figure(known?.value), told);
    });
    return make("div", { class: "scroll" }, make("table", { class: "figures-table" }, head, make("tbody", {}, ...rows)));
  }
}
