// Conditions and episodes of drift: what holds now, and what held before.

import { byId, item, make, refill, when } from "./dom.js";
import { count, duration, figure, percent } from "./format.js";

const TITLES = {
  drift: "Drift",
  missing: "Values missing",
  unseen: "Unseen categories",
  out_of_range: "Out of range",
  rejected: "Records refused",
  prediction_drift: "Prediction drift",
  target_drift: "Target drift",
  concept_drift: "Concept drift",
  estimated_loss: "Estimated loss",
  realised_loss: "Realised loss",
  label_delay: "Labels are late",
  reference_missing: "Reference missing",
  evaluator_failed: "Evaluator failed",
  detectors_failed: "Detectors failed",
  stale: "Checks are late",
  stream_away: "Kafka not read",
};
// Those that make every number below them doubtful, and why.
const WARNINGS = {
  reference_missing: "this model's bundle is not on this machine or is damaged, so nothing can be compared",
  evaluator_failed: "Evidently's scores and reports need the evaluator, verdicts don't; a check without an answer changes none",
  detectors_failed: "windows are judged without stream detectors, so a small shift may stay unseen",
  stale: "records wait for their check for too long",
  stream_away: "reading from Kafka fails; what is there waits for its return",
};
const SECONDS = ["label_delay", "stale"];
// Of accuracy, a difference; of an error, the share by which it grew.
const DEGRADATIONS = ["concept_drift", "estimated_loss", "realised_loss"];
const EPISODES_SHOWN = 12;

export function conditionTitle(name) {
  return TITLES[name] ?? name;
}

export class Conditions {
  constructor(shown) {
    this.titles = new Map(shown.columns.map(({ name, title }) => [name, title]));
    this.degradationsAreShares = shown.losses_are_shares;
  }

  show(state) {
    const active = state.conditions.filter((condition) => condition.active);
    // What is not known yet is null: it neither holds nor doesn't.
    const quiet = state.conditions.filter((condition) => condition.active === false);
    // What a condition is measured at changes with every check, and only matters while it holds.
    refill(byId("conditions"), active, () =>
      active.length ? active.map((condition) => this.entry(condition)) : [make("li", { class: "empty" }, this.none(state))]);
    const names = [...new Set(quiet.filter(({ name }) => !active.some((other) => other.name === name)).map(({ name }) => name))];
    byId("quiet-conditions").parentElement.hidden = names.length === 0;
    refill(byId("quiet-conditions"), names, () => names.map((name) => make("li", {}, conditionTitle(name))));
    this.showWarnings(state, active);
    this.showEpisodes(state);
  }

  none(state) {
    return state.conditions.some(({ active }) => active === null) ? "Known from the first check on." : "None holds.";
  }

  entry(condition) {
    const subject = condition.column ? `: ${this.titles.get(condition.column) ?? condition.column}` : "";
    return item("", ["active", `▲ ${conditionTitle(condition.name)}${subject}`], ["when", this.measured(condition)], ["when", "since ", when(condition.since)]);
  }

  measured({ name, value, threshold }) {
    if (value === null || value === undefined) return "";
    const limit = threshold === null || threshold === undefined ? "" : `, limit ${this.written(name, threshold)}`;
    return `${this.written(name, value)}${limit}`;
  }

  written(name, value) {
    if (SECONDS.includes(name)) return duration(value);
    return DEGRADATIONS.includes(name) && !this.degradationsAreShares ? figure(value) : percent(value);
  }

  showWarnings(state, active) {
    const warnings = active.filter(({ name }) => WARNINGS[name]);
    const list = byId("warnings");
    list.hidden = warnings.length === 0;
    refill(list, [warnings, state.stream?.fault, state.evaluation?.fault, state.waiting?.reports], () => warnings.map(({ name, since }) => {
      const reason = this.reason(name, state);
      const fault = reason ? ` (${reason})` : "";
      return make("li", { class: "banner warn" }, `${conditionTitle(name)} since `, when(since), `: ${WARNINGS[name]}${fault}.`);
    }));
  }

  reason(name, state) {
    if (name === "stream_away") return state.stream?.fault;
    if (name === "evaluator_failed") return state.waiting?.reports ?? state.evaluation?.fault;
    return name === "stale" ? null : state.evaluation?.fault;
  }

  showEpisodes(state) {
    const all = [
      ...state.episodes.map((episode) => ({ ...episode, title: this.titles.get(episode.column) ?? episode.column })),
      ...state.prediction_episodes.map((episode) => ({ ...episode, title: "Predictions" })),
    ];
    all.sort((one, other) => other.confirmed_at_row - one.confirmed_at_row);
    refill(byId("episodes"), all.slice(0, EPISODES_SHOWN), (episodes) =>
      episodes.length ? episodes.map((episode) => this.episode(episode)) : [make("li", { class: "empty" }, "None so far.")]);
  }

  episode(episode) {
    const cause = episode.cause === "stream" ? " (stream detector)" : "";
    const begin = [`record ${count(episode.confirmed_at_row)}, `, when(episode.confirmed_at)];
    if (episode.ended_at_row === null) return item("", ["active", `▲ ${episode.title}${cause}`], ["when", "since ", ...begin]);
    return item("", ["", `${episode.title}${cause}`], ["when", ...begin, ` to record ${count(episode.ended_at_row)}`]);
  }
}
