// Follows the service: asks for its state every second and shows it.

import { Alerts } from "./alerts.js";
import { LineCharts } from "./line_charts.js";
import { Columns } from "./columns.js";
import { Conditions } from "./conditions.js";
import { showDataQuality } from "./data_quality.js";
import { showArrivalDelay, showLabelDelay } from "./delays.js";
import { byId } from "./dom.js";
import { History } from "./history.js";
import { ApiKey, KeyNeeded } from "./key.js";
import { Reference, Reports, showVersions } from "./operations.js";
import { Performance } from "./performance.js";
import { Question } from "./question.js";
import { PerformanceWindows } from "./performance_windows.js";
import { Retraining } from "./retraining.js";
import { Service } from "./service.js";
import { Shadow } from "./shadow.js";
import { Status } from "./status.js";

const EVERY_MS = 1000;

const shown = JSON.parse(byId("case").textContent);
const history = new History();
const apiKey = new ApiKey(byId("key"), byId("report"), byId("state"));
const service = new Service(apiKey);
const question = new Question(() => refresh(), () => apiKey.ask());
const status = new Status(shown);
const alerts = new Alerts(service, question);
const conditions = new Conditions(shown);
const columns = new Columns(byId("columns"), shown.columns, service);
const charts = new LineCharts(shown);
const performance = new Performance(shown);
const performanceWindows = new PerformanceWindows(shown, service);
const shadow = new Shadow(shown, service);
const reference = new Reference(service, question);
const retraining = new Retraining(service, question);
const reports = new Reports(service, apiKey, () => refresh());

let lastAnswerAt = 0;

async function look() {
  const state = await service.get("/api/state");
  if ((state.evaluation?.at_row ?? 0) < history.lastRow) history.forget();
  history.take(await service.get(`/api/history?after_row=${history.lastRow}`));
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
      status.showKeyNeeded(lastAnswerAt);
      return null;
    }
    console.warn(error);
    status.showReach(lastAnswerAt);
    return null;
  }
}

function show(state) {
  status.show(state);
  alerts.show(state.alerts);
  conditions.show(state);
  columns.show(state.columns, state.episodes);
  columns.draw(history);
  charts.draw(history, state);
  performance.show(state.quality);
  performanceWindows.follow(state);
  shadow.follow(state);
  showDataQuality(state.columns);
  showLabelDelay(state.label_delay);
  showArrivalDelay(state.arrival_delay);
  reference.show(state.reference, state.window.rows, shown.minimum_rows);
  retraining.show(state.retraining);
  reports.show(state, new Date(state.at).getTime());
  showVersions(history, state.model);
}

async function refresh() {
  const state = await reach();
  if (state !== null) show(state);
}

async function follow() {
  // A page nobody looks at needs no data; it catches up when it is seen again.
  if (!document.hidden) await refresh();
  setTimeout(follow, EVERY_MS);
}

follow();
