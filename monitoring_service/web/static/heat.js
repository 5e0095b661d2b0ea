// The colours of the heat map, and many checks told in few cells.

const MOST_CELLS = 240;

function mixed(from, to, part) {
  return `rgb(${from.map((value, index) => Math.round(value + (to[index] - value) * part)).join(" ")})`;
}

function parsed(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim().slice(1);
  return [0, 2, 4].map((place) => parseInt(hex.slice(place, place + 2), 16));
}

export class Palette {
  constructor() {
    this.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.read());
  }

  read() {
    [this.none, this.low, this.mid, this.high, this.marked, this.ruled] = [
      "heat-none", "heat-low", "heat-mid", "heat-high", "mark", "line",
    ].map(parsed);
  }

  // What chance explains stays grey however far it goes; the warm hue is full at four times the minimum.
  of(effect, minimum, suspicious) {
    const times = effect / minimum;
    if (!suspicious) return mixed(this.none, this.low, Math.min(1, times));
    return mixed(this.mid, this.high, Math.min(1, (times - 1) / 3));
  }

  get mark() {
    return `rgb(${this.marked.join(" ")})`;
  }

  get line() {
    return `rgb(${this.ruled.join(" ")})`;
  }
}

// Cells for the newest `wanted` checks, several of them in one cell when there are too many. What stands out in any of
// them stands out in the cell. `ordinal` counts checks from the first that was ever seen, so that a check stays in its
// cell while others come.
export function cellsOf(checks, ordinal, wanted) {
  const shown = checks.slice(-wanted);
  const each = Math.ceil(shown.length / MOST_CELLS);
  if (each <= 1) return shown.map((check) => ({ ...check, first_row: check.row }));
  const cells = [];
  let last = null;
  shown.forEach((check, index) => {
    const place = Math.floor((ordinal + checks.length - shown.length + index) / each);
    if (place === last) cells[cells.length - 1] = joined(cells[cells.length - 1], check);
    else cells.push({ ...check, first_row: check.row });
    last = place;
  });
  return cells;
}

function joined(cell, check) {
  return {
    ...check,
    first_row: cell.first_row,
    effects: check.effects.map((effect, index) => larger(effect, cell.effects[index])),
    suspicious: check.suspicious.map((holds, index) => holds || cell.suspicious[index]),
    drifted: check.drifted.map((holds, index) => holds || cell.drifted[index]),
  };
}

function larger(one, other) {
  if (one === null) return other;
  return other === null ? one : Math.max(one, other);
}
