// What the charts show: checks and arrivals, fetched once and then followed.

const CHECKS_KEPT = 5000;

export class History {
  constructor() {
    this.checks = [];
    this.arrivals = [];
    this.forgotten = 0;
    this.now = 0;
  }

  get firstRow() {
    return this.checks.length ? this.checks[0].row : 0;
  }

  get lastRow() {
    return this.checks.length ? this.checks[this.checks.length - 1].row : 0;
  }

  // The service was emptied or replaced by one that knows less: begin again.
  forget() {
    this.checks = [];
    this.forgotten = 0;
  }

  take(document) {
    const known = this.lastRow;
    this.checks.push(...document.checks.filter((check) => check.row > known));
    this.forgotten += this.checks.splice(0, Math.max(0, this.checks.length - CHECKS_KEPT)).length;
    this.arrivals = document.arrivals;
    this.now = Math.floor(document.at);
  }

  // Seconds and records, with the seconds in which nothing came.
  throughput(seconds) {
    const received = new Map(this.arrivals);
    const times = [];
    const records = [];
    for (let second = this.now - seconds; second < this.now; second += 1) {
      times.push(second);
      records.push(received.get(second) ?? 0);
    }
    return [times, records];
  }

  series(read) {
    return this.checks.map((check) => read(check) ?? null);
  }

  rows() {
    return this.checks.map((check) => check.row);
  }
}
