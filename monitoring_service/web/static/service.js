// Talks to the service, with the API key where one is needed.

import { KeyNeeded } from "./key.js";

const PATIENCE_MS = 5000;

// The service understood and said no; the message is its own.
export class Refused extends Error {}

export class Service {
  constructor(apiKey) {
    this.apiKey = apiKey;
  }

  async get(path) {
    const answer = await this.fetch(path, {});
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  // `body` becomes JSON; the answer may have none.
  async send(method, path, body) {
    const answer = await this.fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    });
    if (!answer.ok) throw new Refused(await this.reason(answer));
  }

  async fetch(path, options) {
    const answer = await fetch(path, {
      cache: "no-store",
      ...options,
      headers: { ...options.headers, ...this.apiKey.headers() },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.status === 401) throw new KeyNeeded(path);
    return answer;
  }

  async reason(answer) {
    const problem = await answer.json().catch(() => null);
    const faults = (problem?.faults ?? []).map((fault) => `${fault.field}: ${fault.message}.`);
    return [problem?.detail ?? `The service answered ${answer.status}.`, ...faults].join(" ");
  }
}
