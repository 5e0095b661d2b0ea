// One row for each column of the case: its strip of checks, its verdict and its figures.

import { NONE, clock, count, figure, pValue, percent } from "./format.js";

const WIDEST_CELL_PX = 14;
const MOST_CELLS = 240;
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

function mixed(from, to, part) {
  return `rgb(${from.map((value, index) => Math.round(value + (to[index] - value) * part)).join(" ")})`;
}

function parsed(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim().slice(1);
  return [0, 2, 4].map((place) => parseInt(hex.slice(place, place + 2), 16));
}

class Palette {
  constructor() {
    this.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.read());
  }

  read() {
    [this.none, this.low, this.mid, this.high, this.mark, this.line] = [
      "heat-none", "heat-low", "heat-mid", "heat-high", "mark", "line",
    ].map(parsed);
  }

  // What chance explains stays grey however far it goes; the warm hue is full at four times the minimum.
  of(effect, minimum, suspicious) {
    const times = effect / minimum;
    if (!suspicious) return mixed(this.none, this.low, Math.min(1, times));
    return mixed(this.mid, this.high, Math.min(1, (times - 1) / 3));
  }
}

class ColumnRow {
  constructor(element, column, index, palette, readout) {
    this.element = element;
    this.column = column;
    this.index = index;
    this.palette = palette;
    this.readout = readout;
    this.badge = element.querySelector("[data-badge]");
    this.canvas = element.querySelector("[data-strip]");
    this.values = Object.fromEntries(
      [...element.querySelectorAll("[data-value]")].map((value) => [value.dataset.value, value]),
    );
    this.cells = [];
    this.cursor = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.moveTo(null));
    this.canvas.addEventListener("blur", () => this.moveTo(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  show(state, confirmedAt) {
    this.element.classList.toggle("drifted", state.drifted);
    this.element.classList.toggle("suspected", !state.drifted && state.suspected_at_row !== null);
    this.element.classList.toggle("broken", !state.drifted && state.state === "invalid");
    this.badge.textContent = this.verdict(state, confirmedAt);
    this.values.effect.textContent = percent(state.effect);
    this.values.p_value.textContent = pValue(state.p_value);
    this.showScore(state);
    for (const name of ["missing_share", "unseen_share", "rejected_share"]) {
      this.values[name].textContent = percent(state[name]);
    }
    this.canvas.setAttribute("aria-label", `${this.column.title}: ${this.badge.textContent}; moved ${percent(state.effect)}`);
  }

  verdict(state, confirmedAt) {
    if (state.drifted) {
      const when = confirmedAt ? ` · ${clock(confirmedAt)}` : "";
      return `▲ drift since record ${count(state.since_row)}${when}`;
    }
    if (state.state !== "ok") return REASONS[state.reason] ?? state.reason;
    if (state.suspected_at_row !== null) return `suspected since record ${count(state.suspected_at_row)}`;
    return "steady";
  }

  showScore(state) {
    const method = document.createElement("small");
    method.textContent = state.method ?? "";
    this.values.score.replaceChildren(state.score === null ? NONE : figure(state.score), method);
  }

  draw(checks) {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    this.cells = checks.slice(-MOST_CELLS);
    this.cellWidth = Math.min(WIDEST_CELL_PX, width / Math.max(1, this.cells.length));
    this.cells.forEach((check, place) => this.drawCell(context, check, place, height));
    if (this.cursor !== null) this.drawCursor(context, height);
  }

  drawCell(context, check, place, height) {
    const left = place * this.cellWidth;
    const effect = check.effects[this.index];
    // A hair wider than its place: no seams between cells.
    const width = this.cellWidth + 0.4;
    if (effect === null) this.drawUnknown(context, left, width, height);
    else {
      context.fillStyle = this.palette.of(effect, this.column.minimum_effect, check.suspicious[this.index]);
      context.fillRect(left, 0, width, height);
    }
    if (!check.drifted[this.index]) return;
    context.fillStyle = `rgb(${this.palette.mark.join(" ")})`;
    context.fillRect(left, 0, width, 3);
    if (place > 0 && !this.cells[place - 1].drifted[this.index]) context.fillRect(left, 0, 2, height);
  }

  drawUnknown(context, left, width, height) {
    context.strokeStyle = `rgb(${this.palette.line.join(" ")})`;
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    context.beginPath();
    for (let x = left - height; x < left + width; x += 5) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }

  drawCursor(context, height) {
    context.strokeStyle = `rgb(${this.palette.mark.join(" ")})`;
    context.lineWidth = 2;
    context.strokeRect(this.cursor * this.cellWidth + 1, 1, Math.max(3, this.cellWidth - 2), height - 2);
  }

  point(event) {
    const place = Math.floor((event.clientX - this.canvas.getBoundingClientRect().left) / this.cellWidth);
    this.moveTo(place >= 0 && place < this.cells.length ? place : null);
  }

  key(event) {
    const last = this.cells.length - 1;
    const at = this.cursor ?? last + 1;
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (target === undefined || last < 0) return;
    event.preventDefault();
    this.moveTo(Math.min(last, Math.max(0, target)));
  }

  moveTo(place) {
    if (place === this.cursor) return;
    this.cursor = place;
    this.draw(this.cells);
    if (place !== null) this.readout(this.sentence(this.cells[place]));
  }

  sentence(check) {
    const effect = check.effects[this.index];
    const moved = effect === null ? "not measured" : `moved ${percent(effect)}`;
    const significant = check.suspicious[this.index] ? ", significant" : "";
    const verdict = check.drifted[this.index] ? ", drift" : "";
    const when = clock(check.received_at * 1000);
    return `${this.column.title}, check at record ${count(check.row)} (${when}): ${moved}${significant}${verdict}; minimum ${percent(this.column.minimum_effect)}.`;
  }
}

export class Columns {
  constructor(root, columns) {
    const palette = new Palette();
    const readout = document.getElementById("readout");
    this.span = document.getElementById("span");
    this.checks = [];
    this.rows = columns.map((column, index) => {
      const element = root.querySelector(`[data-column="${column.name}"]`);
      return new ColumnRow(element, column, index, palette, (text) => {
        readout.textContent = text;
      });
    });
    new ResizeObserver(() => this.draw(this.checks)).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(this.checks));
  }

  show(states, episodes) {
    const open = new Map(
      episodes.filter((episode) => episode.ended_at_row === null).map((episode) => [episode.column, episode.confirmed_at]),
    );
    states.forEach((state, index) => this.rows[index].show(state, open.get(state.name)));
  }

  draw(checks) {
    this.checks = checks;
    for (const row of this.rows) row.draw(checks);
    const shown = checks.slice(-MOST_CELLS);
    this.span.textContent = shown.length ? `· records ${count(shown[0].row)} to ${count(shown[shown.length - 1].row)}` : "";
  }
}
