// The one dialog of the page: asks who does something and why, and does it. Escape and Cancel leave everything as it is.

import { byId } from "./dom.js";
import { KeyNeeded } from "./key.js";
import { Refused } from "./service.js";

const NAME_KEPT_AS = "streamgauge-name";

export class Question {
  // `done` is called after something was done, so that the page shows it at once.
  constructor(done, askForKey) {
    this.dialog = byId("question");
    this.form = this.dialog.querySelector("form");
    this.fault = byId("question-fault");
    this.person = byId("question-person");
    this.done = done;
    this.askForKey = askForKey;
    this.form.addEventListener("submit", (event) => this.submit(event));
    byId("question-cancel").addEventListener("click", () => this.dialog.close());
  }

  // `act` gets { by, note, seconds } and may reject with Refused. Who and why are asked for where they are kept.
  ask({ title, text, confirm, withPerson = true, withDuration = false, act }) {
    this.act = act;
    byId("question-title").textContent = title;
    byId("question-text").textContent = text;
    byId("question-confirm").textContent = confirm;
    this.person.hidden = this.person.disabled = !withPerson;
    byId("question-duration").hidden = !withDuration;
    this.form.elements.by.value = localStorage.getItem(NAME_KEPT_AS) ?? "";
    this.form.elements.note.value = "";
    this.fault.hidden = true;
    this.dialog.showModal();
    this.first(withPerson).focus();
  }

  first(withPerson) {
    if (!withPerson) return byId("question-confirm");
    return this.form.elements.by.value ? this.form.elements.note : this.form.elements.by;
  }

  async submit(event) {
    event.preventDefault();
    const { by, note, seconds } = this.form.elements;
    localStorage.setItem(NAME_KEPT_AS, by.value.trim());
    const confirm = byId("question-confirm");
    confirm.disabled = true;
    try {
      await this.act({ by: by.value.trim(), note: note.value.trim(), seconds: Number(seconds.value) });
      this.dialog.close();
      this.done();
    } catch (error) {
      this.showFault(error);
    } finally {
      confirm.disabled = false;
    }
  }

  showFault(error) {
    if (error instanceof KeyNeeded) {
      this.dialog.close();
      this.askForKey();
      return;
    }
    this.fault.textContent = error instanceof Refused ? error.message : "The service can't be reached; nothing was changed.";
    this.fault.hidden = false;
  }
}
