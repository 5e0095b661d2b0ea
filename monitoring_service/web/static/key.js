// The API key of a service that asks for one: asked for once, kept while the tab is open, shown nowhere.

const KEPT_AS = "streamgauge-api-key";
const FIELD = "api-key";

export class KeyNeeded extends Error {}

export class ApiKey {
  constructor(form, reportLink, stateLink) {
    this.form = form;
    this.field = form.elements.namedItem(FIELD);
    this.fault = form.querySelector("[data-fault]");
    this.stateLink = stateLink;
    form.addEventListener("submit", (event) => this.take(event));
    reportLink.addEventListener("click", (event) => this.open(event));
    this.showLinks();
  }

  get kept() {
    return sessionStorage.getItem(KEPT_AS);
  }

  headers() {
    return this.kept ? { Authorization: `Bearer ${this.kept}` } : {};
  }

  // The service refused the key, or there is none yet.
  ask() {
    this.fault.hidden = !this.kept;
    sessionStorage.removeItem(KEPT_AS);
    if (!this.form.hidden) return;
    this.form.hidden = false;
    this.field.focus();
  }

  take(event) {
    event.preventDefault();
    // What else a field may hold can't stand in a header.
    sessionStorage.setItem(KEPT_AS, this.field.value.replace(/[^\x21-\x7e]/g, "") || "-");
    this.field.value = "";
    this.form.hidden = true;
    this.showLinks();
  }

  showLinks() {
    this.stateLink.hidden = Boolean(this.kept);
  }

  // A link can't carry a key, a form can.
  open(event) {
    if (!this.kept) return;
    event.preventDefault();
    const form = Object.assign(document.createElement("form"), { method: "post", action: event.currentTarget.href });
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: FIELD, value: this.kept }));
    document.body.append(form);
    form.submit();
    form.remove();
  }
}
