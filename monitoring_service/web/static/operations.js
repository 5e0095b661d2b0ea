// What people do here beside alerts: accept a window as the new reference or take that back, and have a report made.

import { byId, empty, make, refill, when, write } from "./dom.js";
import { ago, count } from "./format.js";

export class Reference {
  constructor(service, question) {
    this.service = service;
    this.section = byId("reference");
    byId("accept").addEventListener("click", () => question.ask({
      title: "Accept the current window as the new reference",
      text: "From the next check on, windows are compared with these records. Verdicts begin anew. It is recorded, and can be taken back.",
      confirm: "Accept",
      act: ({ by, note }) => service.send("POST", "/api/reference/accept", { by, note }),
    }));
    byId("revert").addEventListener("click", () => question.ask({
      title: "Go back to the reference before",
      text: "From the next check on, windows are compared with what they were compared with before. It is recorded.",
      confirm: "Go back",
      act: ({ by, note }) => service.send("POST", "/api/reference/revert", { by, note }),
    }));
  }

  // Without `reference` in the state the service can't change it.
  show(reference, rows, minimumRows) {
    this.section.hidden = !reference;
    if (!reference) return;
    byId("accept").disabled = rows < minimumRows;
    byId("revert").disabled = !reference.can_revert;
    refill(byId("reference-text"), reference, () => this.told(reference));
  }

  told({ kind, at, rows, by, note }) {
    const size = rows ? ` (${count(rows)} records)` : "";
    if (kind !== "accepted") return [`Windows are compared with the model's own reference, made at training${size}.`];
    const reason = note ? `: “${note}”` : "";
    return [`Windows are compared with a window${size} that ${by ?? "somebody"} accepted (`, at ? when(at) : "at an unknown time", `)${reason}.`];
  }
}

export class Reports {
  constructor(service, apiKey, done) {
    this.apiKey = apiKey;
    this.service = service;
    this.done = done;
    this.fault = byId("report-fault");
    this.make = byId("make-report");
    this.make.addEventListener("click", () => this.order());
  }

  async order() {
    this.make.disabled = true;
    this.fault.hidden = true;
    try {
      await this.service.send("POST", "/api/reports");
      this.done();
    } catch (error) {
      this.fault.textContent = error.message;
      this.fault.hidden = false;
    } finally {
      this.make.disabled = false;
    }
  }

  show(state, now) {
    const latest = state.report.latest;
    byId("report").hidden = latest === null;
    byId("no-report").hidden = latest !== null;
    if (latest) write(byId("report"), `Latest Evidently report (record ${count(latest.row)}, ${ago(latest.at, now)})`);
    this.make.hidden = !state.reports;
    write(byId("report-state"), this.told(state));
    refill(byId("reports"), state.reports ?? (latest ? [latest] : []), (reports) =>
      reports.length ? reports.map((report) => this.entry(report)) : [make("li", {}, empty("None yet: the first is made after the first check."))]);
  }

  told(state) {
    if (state.waiting?.reports) return `Reports and Evidently's scores wait: ${state.waiting.reports}.`;
    return state.report.running ? "One is being made…" : "";
  }

  entry({ row, at, kind, url }) {
    const link = make("a", { href: url, "data-key": url }, `Record ${count(row)}`);
    link.addEventListener("click", (event) => this.apiKey.open(event));
    return make("li", {}, link, make("span", { class: "when" }, kind ? `${kind.replaceAll("_", " ")} · ` : "", when(at)));
  }
}

// Which versions made predictions, from the checks this page knows: newest first.
export function showVersions(history, model) {
  const spans = [];
  for (const { version, row, received_at: at } of history.checks) {
    const last = spans[spans.length - 1];
    if (last?.version === version) Object.assign(last, { to: row, until: at, checks: last.checks + 1 });
    else spans.push({ version, from: row, to: row, since: at, until: at, checks: 1 });
  }
  refill(byId("versions"), [spans.slice(-8), model?.name], ([newest, name]) =>
    newest.length === 0
      ? [make("li", { class: "empty" }, "Shown from the first check on.")]
      : newest.reverse().map((span) => make(
        "li",
        {},
        make("span", {}, `${name ?? ""} version ${span.version}`.trim()),
        make("span", { class: "when" }, `${count(span.checks)} checks, records ${count(span.from)} to ${count(span.to)} · since `, when(span.since * 1000)),
      )));
}
