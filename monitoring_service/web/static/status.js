// The words and figures above the charts: who predicts, the verdict, the tiles, and whether the service answers.

import { conditionTitle } from "./conditions.js";
import { byId, write } from "./dom.js";
import { NONE, ago, clock, count, figure, interval, listed, percent, rate, utc } from "./format.js";

// Beside drift, which has words of its own: what no page may call "no drift" over. The worst first.
const BROKEN_DATA = ["missing", "unseen", "out_of_range", "rejected"];
const PERFORMANCE = ["realised_loss", "concept_drift", "estimated_loss", "target_drift"];

export class Status {
  constructor(shown) {
    this.shown = shown;
  }

  show(state) {
    this.showHeader(state, new Date(state.at).getTime());
    this.showVerdict(state);
    this.showTiles(state);
    this.showFigures(state.quality);
    this.showStream(state.stream);
  }

  showHeader(state, now) {
    write(byId("model"), state.model ? `${state.model.name} · version ${state.model.version}` : "none yet");
    const newest = state.window.newest_at;
    write(byId("last-record"), newest ? ago(newest, now) : "none yet");
    byId("last-record").title = newest ? utc(newest) : "";
  }

  showVerdict(state) {
    const drifted = state.columns.filter((column) => column.drifted);
    const found = [...this.drifts(state, drifted), ...this.others(state)];
    // Calm is what a check has found; without an answer nothing was.
    const kind = found.length ? "drift" : state.evaluation?.state === "ok" ? "calm" : "waiting";
    byId("verdict").className = `verdict ${kind}`;
    write(byId("verdict-title"), this.title(state, found));
    write(byId("verdict-text"), this.explanation(state, drifted, this.others(state).filter((other) => other !== found[0])));
  }

  drifts(state, drifted) {
    return [
      drifted.length && `${drifted.length} of ${state.columns.length} columns drift`,
      state.prediction_drift?.drifted && "The predictions drift",
    ].filter(Boolean);
  }

  others(state) {
    const active = state.conditions.filter((condition) => condition.active);
    const broken = new Set(active.filter(({ name }) => BROKEN_DATA.includes(name)).map(({ column }) => column));
    const performance = PERFORMANCE.filter((known) => active.some(({ name }) => name === known));
    return [...(broken.size ? [`${broken.size} of ${state.columns.length} columns broken`] : []), ...performance.map(conditionTitle)];
  }

  title(state, found) {
    if (state.totals.predictions === 0) return "Waiting for the first records";
    if (found.length) return found[0];
    if (state.evaluation === null) return "Collecting the first window";
    return state.evaluation.state === "ok" ? "No drift" : "No verdict";
  }

  explanation(state, drifted, others) {
    if (state.totals.predictions === 0) {
      return `They show here as soon as the prediction service delivers them. The first check needs ${count(this.shown.minimum_rows)} records.`;
    }
    if (state.evaluation === null) {
      const due = state.next_check_row <= state.totals.predictions;
      return `${count(state.totals.predictions)} records so far; ${due ? "the first check is due, and being made" : `the first check is made at record ${count(state.next_check_row)}`}.`;
    }
    const last = `Last check at record ${count(state.evaluation.at_row)}, over ${count(state.evaluation.rows)} records.`;
    const since = state.prediction_drift?.drifted ? `since record ${count(state.prediction_drift.since_row)}. ` : "";
    const also = others.length ? `Also: ${others.join(", ")}. ` : "";
    if (drifted.length === 0) return `${since && `They have moved ${since}`}${also}${last}`;
    return `${listed(drifted.map((column) => column.title))}. ${since && `The predictions drift ${since}`}${also}${last}`;
  }

  showTiles(state) {
    const totals = state.totals;
    write(byId("records"), count(totals.predictions));
    write(byId("records-note"), `each once; ${count(totals.labels)} labels`);
    write(byId("rate"), rate(state.records_per_s));
    write(byId("window"), count(state.window.rows));
    write(byId("rejected"), percent(state.rejected_share));
    write(byId("rejected-note"), `${count(totals.rejected_records)} records in all`);
  }

  // What labels say, else what is estimated without them; the note tells which of the two.
  showFigures(quality) {
    for (const tile of document.querySelectorAll("[data-figure]")) {
      const [realised, estimated] = [quality?.figures, quality?.estimated].map((figures) => figures?.[tile.dataset.figure]);
      const known = realised ?? estimated;
      write(tile, known ? figure(known.value) : NONE);
      const ends = known ? interval(known) : "";
      const source = realised ? `${count(quality.labelled_rows)} labelled records` : estimated ? "estimated without labels" : this.missing(quality);
      const unit = known && tile.dataset.unit;
      write(tile.parentElement.querySelector("[data-figure-note]"), [unit, source, ends].filter(Boolean).join("; "));
    }
  }

  missing(quality) {
    return quality?.labelled_rows ? "too few labels for it" : "no labels yet";
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

  // Figures from before stay; without any, there is nothing that could be waited for.
  showKeyNeeded(lastAnswerAt) {
    byId("live").className = "off";
    write(byId("live").lastElementChild, "needs a key");
    if (lastAnswerAt) return;
    write(byId("verdict-title"), "No figures without an API key");
    write(byId("verdict-text"), "Enter it above; it is kept while this tab is open.");
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
