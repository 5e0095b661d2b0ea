// Bars side by side as SVG: shares by place, for one series or two. Colours come from the style sheet.

import { svg } from "./dom.js";

const HEIGHT = 120;
const WIDTH = 640;

// `bins` are { label, values: [..] }, `classes` the style of each value. Heights are relative to the highest bar.
export function bars(bins, classes, { label, write }) {
  const highest = Math.max(...bins.flatMap(({ values }) => values), Number.MIN_VALUE);
  const place = WIDTH / bins.length;
  const gap = Math.min(6, place * 0.2);
  const width = (place - gap) / classes.length;
  const drawn = bins.flatMap(({ label: name, values }, index) =>
    values.map((value, series) => {
      const height = (value / highest) * HEIGHT;
      const left = index * place + gap / 2 + series * width;
      const bar = svg("rect", { x: left, y: HEIGHT - height, width: Math.max(1, width - 0.5), height, class: classes[series] });
      bar.append(svg("title", {}, `${name}: ${write(value)}`));
      return bar;
    }));
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "bars" },
    ...drawn,
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "base" }),
  );
}

// One lying bar, from the left.
export function bar(value, highest, kind) {
  const drawn = svg("rect", { x: 0, y: 0, width: (100 * (value ?? 0)) / highest, height: 8, class: kind });
  return svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": true }, drawn);
}

// An interval on a scale from `lowest` to `highest`: a line for it, a dot for the value, a mark for what it is held against.
export function whisker({ value, low, high }, held, [lowest, highest]) {
  const at = (number) => 2 + (96 * (number - lowest)) / (highest - lowest || 1);
  const parts = [svg("line", { x1: 0, x2: 100, y1: 6, y2: 6, class: "ground" })];
  if (low !== null && low !== undefined) parts.push(svg("line", { x1: at(low), x2: at(high), y1: 6, y2: 6, class: "interval" }));
  if (held !== null && held !== undefined) parts.push(svg("line", { x1: at(held), x2: at(held), y1: 0, y2: 12, class: "held" }));
  parts.push(svg("line", { x1: at(value) - 0.8, x2: at(value) + 0.8, y1: 6, y2: 6, class: "value" }));
  return svg("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", class: "whisker", "aria-hidden": true }, ...parts);
}
