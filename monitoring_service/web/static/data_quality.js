// What is wrong with the values themselves: missing, unseen, out of range, refused; beside what the reference had.

import { byId, make, refill, tableRow } from "./dom.js";
import { NONE, percent } from "./format.js";
import { conditionTitle } from "./conditions.js";

const OF_VALUES = ["missing", "unseen", "out_of_range", "rejected"];

function cell(column, name, ...content) {
  const isBroken = (column.conditions ?? []).includes(name);
  const mark = isBroken ? make("span", { class: "active", title: conditionTitle(name) }, "▲ ") : null;
  return make("td", { class: isBroken ? "broken" : "" }, mark, ...content);
}

const noCategory = () => make("td", { class: "none", title: "numbers have a range, not categories" }, NONE);
const noNumber = () => make("td", { class: "none", title: "categories have no range" }, NONE);

// Worth a line only where values are missing at all.
function inReference({ missing_share: here, reference_missing_share: there }) {
  return here || there ? make("small", {}, `reference ${percent(there)}`) : null;
}

export function showDataQuality(columns) {
  refill(byId("data-quality"), columns.map((column) => [column.name, ...OF_VALUES, column.conditions, column.missing_share,
    column.reference_missing_share, column.unseen_share, column.out_of_range_share, column.rejected_share]), () =>
    columns.map((column) => tableRow(
      column.title,
      cell(column, "missing", percent(column.missing_share), inReference(column)),
      column.kind === "category" ? cell(column, "unseen", percent(column.unseen_share)) : noCategory(),
      column.kind === "category" ? noNumber() : cell(column, "out_of_range", percent(column.out_of_range_share)),
      cell(column, "rejected", percent(column.rejected_share)),
    )));
}
