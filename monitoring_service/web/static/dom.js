// Making and refreshing elements without disturbing whoever reads them, listens to them or has the focus there.

import { clock, utc } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const filledWith = new WeakMap();

export const byId = (id) => document.getElementById(id);

// Text that did not change must not be announced again.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function button(text, action, attributes = {}) {
  const made = make("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", action);
  return made;
}

// A moment in the viewer's zone, with UTC for whoever points at it.
export function when(at) {
  return make("time", { datetime: new Date(at).toISOString(), title: utc(at) }, clock(at));
}

// New children only when what they are made from changed; who had the focus keeps it (by data-key).
export function refill(element, data, build) {
  const signature = JSON.stringify(data);
  if (filledWith.get(element) === signature) return;
  filledWith.set(element, signature);
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...build(data));
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function item(className, ...parts) {
  const spans = parts.map(([kind, ...content]) => make("span", { class: kind }, ...content));
  return make("li", { class: className }, ...spans);
}

export function empty(text) {
  return make("p", { class: "empty" }, text);
}

// A row of a table: its head first.
export function tableRow(head, ...cells) {
  const made = cells.map((cell) => (cell instanceof Node && cell.tagName === "TD" ? cell : make("td", {}, cell)));
  return make("tr", {}, make("th", { scope: "row" }, head), ...made);
}
