// What a shadow says beside what was answered: another version scores the same records, and nobody is told but here.

import { byId, empty, make, refill, tableRow, write } from "./dom.js";
import { NONE, count, figure, interval, percent, signed } from "./format.js";

const EVERY_MS = 3000;

export class Shadow {
  constructor(shown, service) {
    this.names = shown.quality_figures;
    this.service = service;
    this.section = byId("shadow");
    this.askedAt = 0;
  }

  // It is compared every few seconds at most; without a shadow there is nothing to ask for.
  async follow(state) {
    if (!state.totals.shadows || Date.now() - this.askedAt < EVERY_MS) return;
    this.askedAt = Date.now();
    try {
      const { comparisons } = await this.service.get("/api/shadow");
      this.section.hidden = comparisons.length === 0;
      if (comparisons.length > 0) this.show(comparisons[0]);
    } catch (error) {
      console.warn(error);
    }
  }

  show(compared) {
    write(byId("shadow-caption"), this.caption(compared));
    write(byId("shadow-labelled"), compared.labelled ? `${count(compared.labelled)} pairs with a label` : "No labels yet");
    refill(byId("shadow-decisions"), compared, () => this.decisions(compared));
    refill(byId("shadow-figures"), compared, () => this.figures(compared));
  }

  caption({ champion, challenger, pairs, answered }) {
    const missing = answered - pairs;
    const told = missing > 0 ? `${count(missing)} not yet` : "none is missing";
    return `Version ${challenger.version} scores what version ${champion.version} answers: ${count(pairs)} records by both, ${told}.`;
  }

  decisions({ agreement, flipped, pairs, shift }) {
    const rows = [];
    if (agreement) rows.push(tableRow("Same decision", valued(agreement, percent, true)));
    for (const [change, records] of Object.entries(flipped)) {
      rows.push(tableRow(change, make("td", {}, make("span", {}, count(records)), make("small", {}, percent(records / pairs)))));
    }
    const range = `${signed(shift.p05)} to ${signed(shift.p95)} for nine in ten`;
    rows.push(tableRow("Score, on average", make("td", {}, make("span", {}, signed(shift.mean)), make("small", {}, range))));
    rows.push(tableRow("Difference, either way", make("td", {}, make("span", {}, figure(shift.mean_absolute)), make("small", {}, `at most ${figure(shift.largest_absolute)}`))));
    return [make("tbody", {}, ...rows)];
  }

  figures({ champion, challenger, champion_figures: ours, challenger_figures: theirs }) {
    const known = this.names.filter(({ name }) => ours[name] || theirs[name]);
    if (known.length === 0) return [make("tbody", {}, make("tr", {}, make("td", {}, empty("Too few labels for a metric."))))];
    const heads = ["Metric", `Version ${champion.version}`, `Shadow: version ${challenger.version}`];
    const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    return [head, make("tbody", {}, ...known.map(({ name, title }) => tableRow(title, valued(ours[name], figure), valued(theirs[name], figure))))];
  }
}

function valued(known, written, asShare = false) {
  if (!known) return NONE;
  return make("td", {}, make("span", {}, written(known.value)), make("small", {}, interval(known, asShare)));
}
