// How numbers and times are written, the same everywhere on the page.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const NONE = "–";

const isKnown = (value) => value !== null && value !== undefined;

export function count(value) {
  return whole.format(value);
}

export function rate(value) {
  return value >= 10 || value === 0 ? whole.format(value) : value.toFixed(1);
}

export function percent(share) {
  if (!isKnown(share)) return NONE;
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${(100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
}

// For shares that stand beside each other: 24.6 % and 25.4 % must not both read 25 %.
export function tenths(share) {
  return isKnown(share) ? `${share < 0 ? "−" : ""}${Math.abs(100 * share).toFixed(1)} %` : NONE;
}

export function figure(value) {
  if (!isKnown(value)) return NONE;
  const size = Math.abs(value);
  const written = size >= 1000 ? whole.format(size) : size.toFixed(size >= 10 ? 1 : 3);
  return value < 0 ? `−${written}` : written;
}

// The ends of an interval, or nothing where there is none.
export function interval({ low, high }, asShare = false) {
  const write = asShare ? tenths : figure;
  return isKnown(low) && isKnown(high) ? `${write(low)} to ${write(high)}` : "";
}

export function signed(value, asShare = false) {
  if (!isKnown(value)) return NONE;
  return `${value > 0 ? "+" : ""}${asShare ? tenths(value) : figure(value)}`;
}

export function pValue(value) {
  if (!isKnown(value)) return NONE;
  return value < 0.001 ? "<0.001" : value.toFixed(3);
}

export function duration(seconds) {
  if (!isKnown(seconds)) return NONE;
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

// In the viewer's zone.
export function clock(at) {
  const moment = new Date(at);
  const time = moment.toLocaleTimeString("en-GB");
  const sameDay = moment.toDateString() === new Date().toDateString();
  return sameDay ? time : `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

export function utc(at) {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function ago(at, now) {
  const seconds = Math.max(0, (now - new Date(at).getTime()) / 1000);
  if (seconds < 3) return "just now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return clock(at);
}

export function listed(titles) {
  return titles.length < 2 ? titles.join("") : `${titles.slice(0, -1).join(", ")} and ${titles[titles.length - 1]}`;
}
