// One row for each column of the case: its strip of checks, its verdict and its numbers, and its distribution on demand.

import { Distribution } from "./distribution.js";
import { byId, make, refill, when, write } from "./dom.js";
import { NONE, clock, count, figure, pValue, percent } from "./format.js";
import { Palette, cellsOf } from "./heat.js";
import { Strip } from "./strip.js";

const REASONS = {
  too_few_rows: "waiting for more records",
  too_few_values: "too few values to compare",
  no_reference: "no reference to compare with",
  not_in_reference: "not in the reference",
  not_in_window: "missing from some records",
  not_a_number: "values that are no numbers",
  not_text: "values that are no text",
  failed: "could not be measured",
};

class ColumnRow {
  constructor(element, column, index, palette, service, shared) {
    this.element = element;
    this.title = column.title;
    this.badge = element.querySelector("[data-badge]");
    this.values = Object.fromEntries(
      [...element.querySelectorAll("[data-value]")].map((value) => [value.dataset.value, value]),
    );
    this.opener = element.querySelector("[data-open]");
    this.detail = element.querySelector("[data-detail]");
    this.distribution = new Distribution(this.detail, column, service);
    this.strip = new Strip(element.querySelector("[data-strip]"), column, index, palette, {
      told: shared.told,
      opened: () => this.toggle(),
      left: (step, place) => shared.moveFrom(index, step, place),
    });
    this.opener.addEventListener("click", () => this.toggle());
    element.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  get isOpen() {
    return !this.detail.hidden;
  }

  toggle() {
    this.detail.hidden = this.isOpen;
    this.opener.setAttribute("aria-expanded", String(this.isOpen));
    if (this.isOpen) this.distribution.load();
  }

  close() {
    if (!this.isOpen) return;
    this.toggle();
    this.opener.focus();
  }

  show(state, confirmedAt) {
    this.element.classList.toggle("drifted", state.drifted);
    this.element.classList.toggle("suspected", !state.drifted && state.suspected_at_row !== null);
    this.element.classList.toggle("broken", !state.drifted && state.state === "invalid");
    refill(this.badge, [this.verdict(state), confirmedAt], ([text]) =>
      confirmedAt && state.drifted ? [`${text} · `, when(confirmedAt)] : [text]);
    write(this.values.effect, percent(state.effect));
    write(this.values.p_value, pValue(state.p_value));
    refill(this.values.score, [state.score, state.method], ([score, method]) =>
      [score === null ? NONE : figure(score), make("small", {}, method ?? "")]);
  }

  verdict(state) {
    if (state.drifted) {
      const cause = state.cause === "stream" ? " (stream detector)" : "";
      return `▲ drift since record ${count(state.since_row)}${cause}`;
    }
    if (state.state !== "ok") return REASONS[state.reason] ?? state.reason;
    if (state.suspected_at_row !== null) return `suspected since record ${count(state.suspected_at_row)}`;
    return "steady";
  }
}

export class Columns {
  constructor(root, columns, service) {
    this.palette = new Palette();
    this.from = byId("span-from");
    this.to = byId("span-to");
    this.history = null;
    this.drawn = null;
    this.wanted = byId("span");
    const readout = byId("readout");
    const shared = {
      told: (text) => write(readout, text),
      moveFrom: (index, step, place) => this.rows[index + step]?.strip.enter(place),
    };
    this.rows = columns.map((column, index) => {
      const element = root.querySelector(`[data-column="${column.name}"]`);
      return new ColumnRow(element, column, index, this.palette, service, shared);
    });
    this.wanted.addEventListener("change", () => this.draw(this.history));
    new ResizeObserver(() => this.redraw()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  show(states, episodes) {
    const open = new Map(
      episodes.filter((episode) => episode.ended_at_row === null).map((episode) => [episode.column, episode.confirmed_at]),
    );
    states.forEach((state, index) => this.rows[index].show(state, open.get(state.name)));
  }

  // Those that are open are fetched again when there was another check.
  draw(history) {
    this.history = history;
    if (!history) return;
    const signature = `${history.firstRow} ${history.lastRow} ${this.wanted.value}`;
    if (signature === this.drawn) return;
    this.drawn = signature;
    const cells = cellsOf(history.checks, history.forgotten, Number(this.wanted.value));
    for (const row of this.rows) {
      row.strip.show(cells);
      if (row.isOpen) row.distribution.load();
    }
    this.showSpan(cells);
  }

  redraw() {
    for (const row of this.rows) row.strip.draw();
  }

  showSpan(cells) {
    const told = (row, check) => `record ${count(row)} · ${clock(check.received_at * 1000)}`;
    write(this.from, cells.length ? told(cells[0].first_row, cells[0]) : "no check yet");
    write(this.to, cells.length > 1 ? told(cells[cells.length - 1].row, cells[cells.length - 1]) : "");
  }
}
