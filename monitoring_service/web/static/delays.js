// How late things come: labels after their prediction, predictions after they were made.

import { bars } from "./bars.js";
import { byId, empty, make, refill, tableRow, write } from "./dom.js";
import { count, duration } from "./format.js";

const FEWEST_BUCKETS = 6;
// So many fit side by side on a phone.
const MOST_NAMES = 7;
const UNITS = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

// The end of a bucket is a whole number of something.
function bound(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size && seconds % size === 0) ?? [1, "s"];
  return `${seconds / size}\u00a0${unit}`;
}

// `buckets` are [le_s, count], cumulative as in Prometheus; the last one may be open (null). Empty ones at
// the end are left out.
function bins(buckets) {
  const total = buckets[buckets.length - 1][1];
  const full = buckets.findIndex(([, records]) => records === total) + 1;
  let before = 0;
  return buckets.slice(0, Math.max(full, FEWEST_BUCKETS)).map(([upTo, records], index) => {
    const here = Math.max(0, records - before);
    before = records;
    const from = index ? buckets[index - 1][0] : 0;
    const isOpen = upTo === null || !Number.isFinite(upTo);
    return isOpen
      ? { label: `over ${bound(from)}`, short: `>${bound(from)}`, values: [here] }
      : { label: `up to ${bound(upTo)}`, short: `≤${bound(upTo)}`, values: [here] };
  });
}

export function showLabelDelay(delay) {
  const place = byId("label-delay");
  const known = delay && delay.count > 0;
  write(byId("label-delay-note"), known
    ? `Half of ${count(delay.count)} labels came within about ${duration(delay.p50_s)} of their prediction, nine of ten within ${duration(delay.p90_s)}`
    : "From the prediction to its label");
  refill(place, known ? delay.buckets : null, (buckets) => {
    if (!buckets) return [empty("No labels yet.")];
    const shown = bins(buckets);
    const every = Math.ceil(shown.length / MOST_NAMES);
    const places = shown.map(({ short }, index) => make("span", {}, index % every ? "" : short));
    const names = make("p", { class: "places", "aria-hidden": true }, ...places);
    const table = make("table", { class: "figures-table" }, make("tbody", {}, ...shown.map(({ label, values }) => tableRow(label, count(values[0])))));
    const told = shown.filter(({ values }) => values[0]).map(({ label, values }) => `${label}: ${count(values[0])}`);
    return [bars(shown, ["window"], { label: `Labels by delay. ${told.join(", ")}`, write: count }), names,
      make("details", {}, make("summary", {}, "As a table"), table)];
  });
}

// What this service knows of latency: from the moment a prediction was made to its arrival here.
export function showArrivalDelay(delay) {
  write(byId("arrival-delay"), delay ? duration(delay.p50_s) : "–");
  write(byId("arrival-note"), delay ? `from prediction to here, half of them; 95\u00a0% within ${duration(delay.p95_s)}` : "from prediction to here");
}
