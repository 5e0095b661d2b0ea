// Follows the service: asks for its state every second and shows it.

import { RowChart, ThroughputChart } from "./charts.js";
import { Columns } from "./columns.js";
import { History } from "./history.js";
import { ApiKey, KeyNeeded } from "./key.js";
import { Status } from "./status.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const THROUGHPUT_S = 180;

const shown = JSON.parse(document.getElementById("case").textContent);
const status = new Status(shown);
const columns = new Columns(document.getElementById("columns"), shown.columns);
const history = new History();
const apiKey = new ApiKey(...["key", "report", "state"].map((name) => document.getElementById(name)));
const place = (name) => document.getElementById(`chart-${name}`);
const throughput = new ThroughputChart(place("throughput"), "No record in the last minutes");
const mix = new RowChart(place("mix"), "Shown from the first check on", shown.mix_lines, { shares: shown.shares });
const quality = new RowChart(place("quality"), "Shown once labels have come", shown.quality_lines, { shares: shown.shares });

let lastAnswerAt = 0;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store", headers: apiKey.headers() });
  if (answer.status === 401) throw new KeyNeeded(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function draw(state) {
  const rows = history.rows();
  const reference = state.prediction_mix?.reference ?? {};
  throughput.show(history.arrivals.length || throughput.plot ? history.throughput(THROUGHPUT_S) : [[]]);
  mix.show([
    rows,
    ...shown.mix_lines.map(({ name, of }) =>
      history.series((check) => (of === "reference" ? reference[name] : check.mix[name]))),
  ]);
  const figures = shown.quality_lines.map(({ name }) => history.series((check) => check.performance[name]));
  const labelled = figures.some((values) => values.some((value) => value !== null));
  quality.show(labelled ? [rows, ...figures] : [[]]);
  columns.draw(history.checks);
}

async function look() {
  const state = await ask("/api/state");
  if ((state.evaluation?.at_row ?? 0) < history.lastRow) history.forget();
  history.take(await ask(`/api/history?after_row=${history.lastRow}`));
  return state;
}

// The newest state, or null when the service gives none; the page says so either way.
async function reach() {
  if (!apiKey.form.hidden) return null;
  try {
    const state = await look();
    lastAnswerAt = Date.now();
    status.showReach(null);
    return state;
  } catch (error) {
    if (error instanceof KeyNeeded) {
      apiKey.ask();
      return null;
    }
    console.warn(error);
    status.showReach(lastAnswerAt);
    return null;
  }
}

function show(state) {
  status.show(state);
  columns.show(state.columns, state.episodes);
  draw(state);
}

async function follow() {
  // A page nobody looks at needs no figures; it catches up when it is seen again.
  const state = document.hidden ? null : await reach();
  setTimeout(follow, EVERY_MS);
  if (state !== null) show(state);
}

follow();
