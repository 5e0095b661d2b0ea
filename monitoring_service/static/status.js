// The words and figures around the charts: verdict, tiles, banners, conditions and episodes.

import { NONE, ago, clock, count, figure, percent, rate } from "./format.js";

const CONDITIONS = {
  column_drift: ["Column drift", "at least one column has a drift verdict"],
  prediction_drift: ["Prediction drift", "the predictions themselves have moved"],
  reference_missing: ["Reference missing", "this model's bundle is not on this machine or is damaged, so nothing can be compared"],
  evaluator_failed: ["Evaluator failed", "checks get no answer; verdicts stay as they were"],
  stale: ["Checks are late", "records wait for their check for too long"],
  stream_away: ["Kafka not read", "reading from Kafka fails; what is there waits for its return"],
};
// Those that make every figure below them doubtful.
const WARNINGS = ["reference_missing", "evaluator_failed", "stale", "stream_away"];
const EPISODES_SHOWN = 12;

const byId = (id) => document.getElementById(id);

// Text that did not change must not be announced again.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function item(className, ...parts) {
  const element = document.createElement("li");
  element.className = className;
  for (const [kind, text] of parts) {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = text;
    element.append(part);
  }
  return element;
}

function listed(titles) {
  return titles.length < 2 ? titles.join("") : `${titles.slice(0, -1).join(", ")} and ${titles[titles.length - 1]}`;
}

export class Status {
  constructor(shown) {
    this.shown = shown;
  }

  show(state) {
    const now = new Date(state.at).getTime();
    this.showHeader(state, now);
    this.showVerdict(state);
    this.showTiles(state);
    this.showStream(state.stream);
    this.showConditions(state);
    this.showEpisodes(state);
    this.showReport(state, now);
  }

  showHeader(state, now) {
    write(byId("model"), state.model ? `${state.model.name} · version ${state.model.version}` : "none yet");
    write(byId("last-record"), state.window.newest_at ? ago(state.window.newest_at, now) : "none yet");
  }

  showVerdict(state) {
    const drifted = state.columns.filter((column) => column.drifted);
    const section = byId("verdict");
    const checked = state.evaluation !== null;
    section.className = `verdict ${!checked ? "waiting" : drifted.length || state.prediction_drift?.drifted ? "drift" : "calm"}`;
    write(byId("verdict-title"), this.title(state, drifted));
    write(byId("verdict-text"), this.explanation(state, drifted));
  }

  title(state, drifted) {
    if (state.totals.predictions === 0) return "Waiting for the first records";
    if (state.evaluation === null) return "Collecting the first window";
    if (drifted.length) return `${drifted.length} of ${state.columns.length} columns drift`;
    if (state.prediction_drift?.drifted) return "The predictions drift";
    return state.evaluation.state === "ok" ? "No drift" : "No verdict";
  }

  explanation(state, drifted) {
    if (state.totals.predictions === 0) {
      return `They show here as soon as the prediction service delivers them. The first check needs ${count(this.shown.minimum_rows)} records.`;
    }
    if (state.evaluation === null) {
      return `${count(state.totals.predictions)} records so far; the first check is made at record ${count(state.next_check_row)}.`;
    }
    const last = `Last check at record ${count(state.evaluation.at_row)}, over ${count(state.evaluation.rows)} records.`;
    const predictions = state.prediction_drift?.drifted
      ? ` The predictions drift since record ${count(state.prediction_drift.since_row)}.`
      : "";
    return drifted.length ? `${listed(drifted.map((column) => column.title))}.${predictions} ${last}` : `${predictions} ${last}`.trim();
  }

  showTiles(state) {
    const totals = state.totals;
    write(byId("records"), count(totals.predictions));
    write(byId("records-note"), `each once; ${count(totals.labels)} labels`);
    write(byId("rate"), rate(state.records_per_s));
    write(byId("window"), count(state.window.rows));
    write(byId("rejected"), percent(state.rejected_share));
    write(byId("rejected-note"), `${count(totals.rejected_records)} records in all`);
    for (const tile of document.querySelectorAll("[data-figure]")) {
      const value = state.quality?.[tile.dataset.figure];
      write(tile, value === undefined ? NONE : figure(value));
      const note = state.quality ? `${count(state.quality.labelled_rows)} labelled records` : "no labels yet";
      write(tile.parentElement.querySelector("[data-figure-note]"), note);
    }
  }

  // One quiet line: where events come from, and how far behind that is.
  showStream(stream) {
    write(byId("stream"), stream ? `Events come from Kafka: ${this.lag(stream)}, and over HTTP.` : "Events come over HTTP.");
  }

  lag(stream) {
    if (!stream.reachable) return "not reached now";
    const lags = Object.entries(stream.lags);
    if (lags.length === 0) return "connecting";
    const behind = lags.filter(([, { records }]) => records > 0);
    if (behind.length === 0) return "everything there was read";
    return behind.map(([kind, { records, seconds }]) => `${count(records)} ${kind} behind (${seconds.toFixed(1)} s)`).join(", ");
  }

  showConditions(state) {
    const signature = JSON.stringify(state.conditions);
    if (signature === this.conditions) return;
    this.conditions = signature;
    byId("conditions").replaceChildren(
      ...state.conditions.map(({ name, active, since }) => {
        const title = CONDITIONS[name]?.[0] ?? name;
        return active ? item("", ["active", `▲ ${title}`], ["when", `since ${clock(since)}`]) : item("", ["", title], ["when", "no"]);
      }),
    );
    const warnings = state.conditions.filter(({ name, active }) => active && WARNINGS.includes(name));
    byId("warnings").hidden = warnings.length === 0;
    byId("warnings").replaceChildren(
      ...warnings.map(({ name, since }) => {
        const reason = name === "stream_away" ? state.stream?.fault : name !== "stale" ? state.evaluation?.fault : null;
        const fault = reason ? ` (${reason})` : "";
        return item("banner warn", ["", `${CONDITIONS[name][0]} since ${clock(since)}: ${CONDITIONS[name][1]}${fault}.`]);
      }),
    );
  }

  showEpisodes(state) {
    const titles = new Map(state.columns.map((column) => [column.name, column.title]));
    const all = [
      ...state.episodes.map((episode) => ({ ...episode, title: titles.get(episode.column) ?? episode.column })),
      ...state.prediction_episodes.map((episode) => ({ ...episode, title: "Predictions" })),
    ];
    const signature = JSON.stringify(all);
    if (signature === this.episodes) return;
    this.episodes = signature;
    if (all.length === 0) return;
    all.sort((one, other) => other.confirmed_at_row - one.confirmed_at_row);
    byId("episodes").replaceChildren(...all.slice(0, EPISODES_SHOWN).map((episode) => this.episode(episode)));
  }

  episode(episode) {
    const begin = `record ${count(episode.confirmed_at_row)}, ${clock(episode.confirmed_at)}`;
    if (episode.ended_at_row === null) return item("", ["active", `▲ ${episode.title}`], ["when", `since ${begin}`]);
    return item("", ["", episode.title], ["when", `${begin} to record ${count(episode.ended_at_row)}`]);
  }

  showReport(state, now) {
    const latest = state.report.latest;
    byId("report").hidden = latest === null;
    byId("no-report").hidden = latest !== null;
    if (latest) write(byId("report"), `Latest Evidently report (record ${count(latest.row)}, ${ago(latest.at, now)})`);
  }

  // `since` is when the last answer came, or null while the service answers.
  showReach(since) {
    const live = byId("live");
    live.className = since === null ? "on" : "off";
    write(live.lastElementChild, since === null ? "live" : "not connected");
    const banner = byId("unreachable");
    const text = since === 0
      ? "The monitoring service can't be reached. This page tries again every second."
      : `The monitoring service can't be reached since ${clock(since ?? 0)}; what you see is from then. This page tries again every second.`;
    if (since !== null) write(banner, text);
    banner.hidden = since === null;
  }
}
