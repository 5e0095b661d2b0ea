"""The quality gate by Great Expectations: results as JSON, and its Data Docs as pages.

Neither holds a value of a single record: unexpected values are counted, not listed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from training.data.rows import LabelledRows
from training.quality.expectations import Part, RowExpectation, expectations_of, name_of
from training.quality.gate import Inspection, Unmet

if TYPE_CHECKING:
    import pandas as pd

RESULTS_FILE, DOCS_FOLDER = "results.json", "docs"
#: Its success is a type of NumPy's that the library's own store of results can't write (1.24.1).
_UNUSABLE = "expect_column_quantile_values_to_be_between"
_COUNTS_ONLY = {"result_format": "SUMMARY", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class GreatExpectationsGate:
    """``further`` is the case's YAML file of expectations, ``folder`` where results replace those of the last time."""

    further: Path
    folder: Path

    def inspect(self, case: Case, parts: Mapping[Part, LabelledRows]) -> Inspection:
        suite = expectations_of(case, self.further)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        context = _open_context(self.folder / DOCS_FOLDER)
        results: dict[str, Any] = {}
        unmet: list[Unmet] = []
        for part, rows in parts.items():
            expected = [one for one in suite if part in one.parts]
            configured = _configured(expected, self.further)
            results[part] = _run(context, f"{case.name} {part}", configured, table_of(case, rows))
            unmet += _unmet(part, results[part]["results"])
        (self.folder / RESULTS_FILE).write_text(json.dumps(results, indent=1))
        context.build_data_docs()
        return Inspection(sum(len(one["results"]) for one in results.values()), unmet, self.folder)


def table_of(case: Case, rows: LabelledRows) -> pd.DataFrame:
    """Rows as a table with a type for each column; one that holds something else keeps what it holds."""
    import pandas as pd

    columns = {
        column.name: _series([record[column.name] for record in rows.records], column.kind) for column in case.columns
    }
    columns[case.target.name] = _series(list(rows.labels), "category" if case.is_binary else "number")
    return pd.DataFrame(columns)


def _series(values: Sequence[Any], kind: str) -> pd.Series[Any]:
    import pandas as pd

    if kind == "category":
        is_text = all(value is None or isinstance(value, str) for value in values)
        return pd.Series(values, dtype="str" if is_text else "object")
    if any(isinstance(value, str | bool) for value in values):
        return pd.Series(values, dtype="object")
    if kind == "integer" and not any(isinstance(value, float) for value in values):
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    return pd.Series(values, dtype="float64")


def _open_context(docs: Path) -> Any:
    """A context in memory that writes nothing but its pages, without telemetry."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.delete_data_docs_site("local_site")
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        "docs", {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
    )
    context.data_sources.add_pandas("rows")
    return context


def _configured(expected: Sequence[RowExpectation], further: Path) -> list[Any]:
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    unusable = [one for one in expected if one.type == _UNUSABLE]
    made, faults = [], [Fault(one.name, "expectation", "is not supported; the median's is") for one in unusable]
    for one in expected:
        configuration = ExpectationConfiguration(
            type=one.type, kwargs=one.kwargs, meta={"why": one.why}, severity=FailureSeverity(one.severity)
        )
        try:
            made.append(configuration.to_domain_obj())
        except (GreatExpectationsError, ValueError) as error:
            faults.append(Fault(one.name, "expectation", " ".join(str(error).split())))
    if faults:
        raise SettingsError(str(further), faults)
    return made


def _run(context: Any, name: str, expectations: Sequence[Any], table: pd.DataFrame) -> dict[str, Any]:
    """One suite on one table; the context keeps the result for its pages."""
    import great_expectations as gx

    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
    batch = context.data_sources.get("rows").add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    checkpoint = gx.Checkpoint(name=name, validation_definitions=[definition], result_format=_COUNTS_ONLY)
    (result,) = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table}).run_results.values()
    found: dict[str, Any] = result.to_json_dict()
    return found


def _unmet(part: Part, results: Sequence[Mapping[str, Any]]) -> Iterator[Unmet]:
    """The results do not come in the suite's order: each says itself what was expected."""
    for result in results:
        if not result["success"]:
            tried = result["expectation_config"]
            name = name_of(tried["type"], tried["kwargs"])
            yield Unmet(name, part, tried["severity"], f"{_shortfall(result)} ({tried['meta']['why']})")


def _shortfall(result: Mapping[str, Any]) -> str:
    if "observed_value" not in result["result"] and "element_count" not in result["result"]:
        return "could not be computed from what the columns hold"
    found = result["result"]
    if {"unexpected_count", "element_count"} <= found.keys():
        return f"{found['unexpected_count']:,} of {found['element_count']:,} values are not as expected"
    observed = found.get("observed_value")
    return f"observed {observed:,.6g}" if isinstance(observed, int | float) else "is not met"
