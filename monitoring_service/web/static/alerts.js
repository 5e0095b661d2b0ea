// Alerts: what fires, what is about to, what was resolved; and what people do about it.

import { button, byId, empty, make, refill, when, write } from "./dom.js";
import { count } from "./format.js";

const ORDER = { firing: 0, pending: 1, resolved: 2 };
const SEVERITY = { page: "page", ticket: "ticket" };
const RESOLVED_SHOWN = 8;
const SHOWN_AT_ONCE = 4;

export class Alerts {
  constructor(service, question) {
    this.service = service;
    this.question = question;
    this.section = byId("alerts");
    this.list = byId("alert-list");
    this.summary = byId("alerts-summary");
  }

  // Without `alerts` in the state the service has none to tell.
  show(alerts) {
    this.section.hidden = !alerts;
    if (!alerts) return;
    const firing = alerts.filter(({ state }) => state === "firing");
    const pending = alerts.filter(({ state }) => state === "pending");
    write(this.summary, firing.length + pending.length ? `${count(firing.length)} firing, ${count(pending.length)} pending` : "none firing");
    const shown = this.shown(alerts);
    refill(this.list, shown.slice(0, SHOWN_AT_ONCE), (first) =>
      first.length ? first.map((alert) => this.entry(alert)) : [make("li", {}, empty("No alert so far."))]);
    this.showMore(shown.slice(SHOWN_AT_ONCE));
  }

  // A world that changed at once makes an alert for each column: the page below must stay in reach.
  showMore(alerts) {
    byId("more-alerts").hidden = alerts.length === 0;
    const states = Object.keys(ORDER).map((state) => [alerts.filter((alert) => alert.state === state).length, state]);
    const told = states.filter(([number]) => number).map(([number, state]) => `${count(number)} ${state}`);
    write(byId("more-alerts-summary"), `${count(alerts.length)} more: ${told.join(", ")}`);
    refill(byId("more-alert-list"), alerts, () => alerts.map((alert) => this.entry(alert)));
  }

  // Firing pages first, then what is newest.
  shown(alerts) {
    const rank = (alert) => ORDER[alert.state] * 2 + (alert.severity === "page" ? 0 : 1);
    const moment = (alert) => alert.resolved_at ?? alert.firing_since ?? alert.since ?? "";
    const sorted = [...alerts].sort((one, other) => rank(one) - rank(other) || (moment(one) < moment(other) ? 1 : -1));
    const resolved = sorted.filter(({ state }) => state === "resolved").slice(0, RESOLVED_SHOWN);
    return [...sorted.filter(({ state }) => state !== "resolved"), ...resolved];
  }

  entry(alert) {
    const head = make(
      "div",
      { class: "alert-head" },
      make("span", { class: `pill ${alert.state}` }, alert.state),
      make("span", { class: `pill ${alert.severity}` }, SEVERITY[alert.severity] ?? alert.severity),
      make("strong", {}, alert.summary || alert.name),
    );
    const body = [head, this.times(alert), alert.description ? make("p", {}, alert.description) : null, this.dealtWith(alert)];
    return make("li", { class: `alert ${alert.state}` }, ...body, this.actions(alert));
  }

  times(alert) {
    const parts = [make("span", {}, alert.name)];
    const add = (text, at) => at && parts.push(make("span", {}, text, when(at)));
    add("pending since ", alert.state === "pending" ? alert.since : null);
    add("firing since ", alert.state === "firing" ? alert.firing_since ?? alert.since : null);
    add("fired ", alert.state === "resolved" ? alert.firing_since : null);
    add("resolved ", alert.resolved_at);
    return make("p", { class: "meta" }, ...parts);
  }

  dealtWith(alert) {
    const parts = [];
    const noted = (note) => (note ? `: “${note}”` : "");
    if (alert.acknowledged_by) parts.push(make("span", {}, `acknowledged by ${alert.acknowledged_by}${noted(alert.acknowledged_note)}`));
    if (alert.silenced_until) {
      const by = alert.silenced_by ? ` by ${alert.silenced_by}` : "";
      parts.push(make("span", {}, "silenced until ", when(alert.silenced_until), `${by}${noted(alert.silence_note)}`));
    }
    if (alert.muted_by) parts.push(make("span", {}, `muted while ${alert.muted_by} fires`));
    return parts.length ? make("p", { class: "meta dealt" }, ...parts) : null;
  }

  actions(alert) {
    const parts = [];
    if (alert.state !== "resolved") {
      if (!alert.acknowledged_by) parts.push(this.acknowledge(alert));
      parts.push(alert.silenced_until ? this.unsilence(alert) : this.silence(alert));
    }
    if (/^https?:\/\//.test(alert.runbook ?? "")) parts.push(make("a", { href: alert.runbook, rel: "noreferrer", target: "_blank" }, "Runbook"));
    else if (alert.runbook) parts.push(make("code", {}, alert.runbook));
    return make("div", { class: "actions" }, ...parts);
  }

  acknowledge(alert) {
    return this.action(alert, "Acknowledge", {
      title: `Acknowledge ${alert.name}`,
      text: "Everybody sees that you look after it. It goes on firing until it is resolved.",
      act: ({ by, note }) => this.service.send("POST", this.path(alert, "acknowledge"), { by, note }),
    });
  }

  silence(alert) {
    return this.action(alert, "Silence", {
      title: `Silence ${alert.name}`,
      text: "Nobody is notified about it for this time. It stays on this page.",
      withDuration: true,
      act: ({ by, note, seconds }) => this.service.send("POST", this.path(alert, "silence"), { by, seconds, note }),
    });
  }

  unsilence(alert) {
    return this.action(alert, "End silence", {
      title: `End the silence of ${alert.name}`,
      text: "People are notified about it again.",
      withPerson: false,
      act: () => this.service.send("DELETE", this.path(alert, "silence")),
    });
  }

  action(alert, name, asked) {
    return button(name, () => this.question.ask({ confirm: name, ...asked }), {
      "data-key": `${alert.id}-${name}`,
      "aria-label": `${name}: ${alert.summary || alert.name}`,
    });
  }

  path(alert, what) {
    return `/api/alerts/${encodeURIComponent(alert.id)}/${what}`;
  }
}
