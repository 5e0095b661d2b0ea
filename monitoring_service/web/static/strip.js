// One row of the heat map: a column's checks, oldest first, to be looked at, pointed at and walked through by keys.

import { clock, count, percent } from "./format.js";

const WIDEST_CELL_PX = 14;
const MARK_PX = 4;

export class Strip {
  // `told` is called with the sentence of the cell under the cursor, `opened` when the strip is clicked.
  constructor(canvas, column, index, palette, { told, opened, left }) {
    this.canvas = canvas;
    this.column = column;
    this.index = index;
    this.palette = palette;
    this.told = told;
    this.left = left;
    this.cells = [];
    this.cursor = null;
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.moveTo(null));
    canvas.addEventListener("focus", () => this.moveTo(this.cursor ?? this.last));
    canvas.addEventListener("blur", () => this.moveTo(null));
    canvas.addEventListener("click", opened);
    canvas.addEventListener("keydown", (event) => this.key(event, opened));
  }

  get last() {
    return this.cells.length - 1;
  }

  show(cells) {
    // Someone who reads a cell goes on reading it while others come.
    const read = this.cursor === null ? null : this.cells[this.cursor]?.row;
    this.cells = cells;
    if (read !== null) {
      const place = cells.findIndex((cell) => cell.first_row <= read && read <= cell.row);
      this.cursor = place < 0 ? null : place;
    }
    this.canvas.setAttribute("aria-valuemax", Math.max(0, this.last));
    this.announce();
    this.draw();
    if (this.cursor === null && document.activeElement === this.canvas) this.moveTo(this.last);
  }

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.scale = scale;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    this.cellWidth = Math.min(WIDEST_CELL_PX, width / Math.max(1, this.cells.length));
    this.cells.forEach((cell, place) => this.drawCell(context, cell, place, height));
    if (this.cursor !== null) this.drawCursor(context, height);
  }

  drawCell(context, cell, place, height) {
    const left = this.edge(place);
    const width = this.edge(place + 1) - left;
    const effect = cell.effects[this.index];
    if (effect === null) this.drawUnknown(context, left, width, height);
    else {
      context.fillStyle = this.palette.of(effect, this.column.minimum_effect, cell.suspicious[this.index]);
      context.fillRect(left, 0, width, height);
    }
    if (!cell.drifted[this.index]) return;
    context.fillStyle = this.palette.mark;
    context.fillRect(left, 0, width, MARK_PX);
    if (place > 0 && !this.cells[place - 1].drifted[this.index]) context.fillRect(left, 0, 2, height);
  }

  // Where a cell begins, on a whole pixel of the screen: edges between pixels would show as seams.
  edge(place) {
    return Math.round(place * this.cellWidth * this.scale) / this.scale;
  }

  drawUnknown(context, left, width, height) {
    context.strokeStyle = this.palette.line;
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
    context.strokeStyle = this.palette.mark;
    context.lineWidth = 2;
    context.strokeRect(this.cursor * this.cellWidth + 1, 1, Math.max(3, this.cellWidth - 2), height - 2);
  }

  point(event) {
    const place = Math.floor((event.clientX - this.canvas.getBoundingClientRect().left) / this.cellWidth);
    this.moveTo(place >= 0 && place <= this.last ? place : null);
  }

  key(event, opened) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      opened();
      return;
    }
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      this.left(event.key === "ArrowUp" ? -1 : 1, this.cursor);
      return;
    }
    const at = this.cursor ?? this.last + 1;
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: this.last }[event.key];
    if (target === undefined || this.last < 0) return;
    event.preventDefault();
    this.moveTo(Math.min(this.last, Math.max(0, target)));
  }

  // From the strip above or below, at the same cell.
  enter(place) {
    if (place !== null) this.cursor = Math.min(place, this.last);
    this.canvas.focus();
    this.draw();
  }

  moveTo(place) {
    const known = place === null || place < 0 ? null : place;
    if (known === this.cursor && known === null) return;
    this.cursor = known;
    this.draw();
    this.announce();
    if (known !== null) this.told(this.sentence(this.cells[known]));
  }

  announce() {
    const cell = this.cells[this.cursor ?? this.last];
    this.canvas.setAttribute("aria-valuenow", Math.max(0, this.cursor ?? this.last));
    this.canvas.setAttribute("aria-valuetext", cell ? this.sentence(cell) : "no check yet");
  }

  sentence(cell) {
    const effect = cell.effects[this.index];
    const moved = effect === null ? "not measured" : `moved ${percent(effect)}`;
    const significant = cell.suspicious[this.index] ? ", significant" : "";
    const verdict = cell.drifted[this.index] ? ", drift" : "";
    const at = clock(cell.received_at * 1000);
    const which = cell.first_row === cell.row
      ? `check at record ${count(cell.row)}`
      : `most of the checks at records ${count(cell.first_row)} to ${count(cell.row)}`;
    return `${this.column.title}, ${which} (${at}): ${moved}${significant}${verdict}; minimum ${percent(this.column.minimum_effect)}.`;
  }
}
