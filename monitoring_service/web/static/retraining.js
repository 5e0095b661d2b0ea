// Retraining: what the training server does, what came of it, and asking for another one.

import { byId, make, refill, when, write } from "./dom.js";

const OUTCOMES = {
  promoted: (version) => `Version ${version} is the new champion`,
  refused: (version) => `The champion stays; version ${version} was refused`,
  failed: () => "Failed",
};

export class Retraining {
  constructor(service, question) {
    this.card = byId("retraining");
    this.button = byId("retrain");
    this.button.addEventListener("click", () => question.ask({
      title: "Train again on the newest labelled records",
      text: "A challenger is trained, and becomes the champion if it is better on records that neither has seen. It takes minutes; predictions go on.",
      confirm: "Train again",
      act: ({ by, note }) => service.send("POST", "/api/retraining", { by, note }),
    }));
  }

  // Without `retraining` in the state there is no training server.
  show(retraining) {
    this.card.hidden = !retraining;
    if (!retraining) return;
    const [newest] = retraining.runs;
    const runs = newest?.state === "running";
    this.button.disabled = Boolean(retraining.fault || retraining.refusal);
    write(byId("retraining-state"), this.told(retraining, runs ? newest : null));
    refill(byId("retrainings"), retraining.runs.filter(({ state }) => state !== "running"), (ended) =>
      ended.length ? ended.map((run) => this.entry(run)) : [make("li", { class: "empty" }, "None has ended so far.")]);
  }

  told({ fault, refusal }, running) {
    if (fault) return `It can't be asked for: ${fault}.`;
    if (running) return `Running: ${running.stage}.`;
    if (refusal?.reason === "cooldown") return `Another may begin in ${Math.ceil(refusal.retry_after_s / 60)} min.`;
    return refusal ? refusal.detail : "";
  }

  entry({ id, state, reason, decision, ended_at: ended }) {
    const why = (decision?.reasons ?? []).join("; ");
    return make(
      "li",
      { "data-key": id, "data-state": state },
      make("span", { class: state === "failed" ? "active" : "" }, OUTCOMES[state]?.(decision?.challenger?.version) ?? state),
      make("span", { class: "when" }, `${reason}${why ? ` · ${why}` : ""} · `, when(ended)),
    );
  }
}
