// How numbers and times are written, the same everywhere on the page.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const NONE = "–";

export function count(value) {
  return whole.format(value);
}

export function rate(value) {
  return value >= 10 || value === 0 ? whole.format(value) : value.toFixed(1);
}

export function percent(share) {
  if (share === null || share === undefined) return NONE;
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${(100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
}

export function figure(value) {
  if (value === null || value === undefined) return NONE;
  if (Math.abs(value) >= 1000) return whole.format(value);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3);
}

export function pValue(value) {
  if (value === null || value === undefined) return NONE;
  return value < 0.001 ? "<0.001" : value.toFixed(3);
}

export function clock(at) {
  const moment = new Date(at);
  const time = moment.toLocaleTimeString("en-GB");
  const sameDay = moment.toDateString() === new Date().toDateString();
  return sameDay ? time : `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

export function ago(at, now) {
  const seconds = Math.max(0, (now - new Date(at).getTime()) / 1000);
  if (seconds < 3) return "just now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return clock(at);
}
