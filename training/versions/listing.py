"""The versions of a case as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from event_backbone.case.schema import Case
from event_backbone.formats.visible_text import visible
from event_backbone.ports import RegisteredVersion
from training.promotion.gate import gate_metric
from training.promotion.registration import DECISION_TAG

_NAMES = {"auc": "AUC", "r2": "R²"}
_MISSING = "-"


def print_versions(case: Case, versions: Sequence[RegisteredVersion], console: Console) -> None:
    """One line a version, the newest first, with its scores on its gate rows beside those of the champion then."""
    measure = gate_metric(case)
    table = Table(box=None, pad_edge=False, title=f"{case.title}: {len(versions)} versions", title_justify="left")
    name = _NAMES[measure]
    for head in ("version", "is", "registered", "gate", name, "champion's", "difference", "calibration", "why", "by"):
        table.add_column(head, no_wrap=head != "why")
    for one in reversed(versions):
        table.add_row(*map(visible, _cells(one, measure)))
    console.print(table)


def _cells(one: RegisteredVersion, measure: str) -> list[str]:
    tags = one.tags
    difference = _number(tags, f"{measure}_difference")
    if difference != _MISSING:
        difference += f" (> {_number(tags, f'{measure}_difference_lower')})"
    went_back = tags.get("rolled_back_at", "") > tags.get("promoted_at", "")
    deed = "rollback_reason" if went_back else "promotion_reason"
    return [
        one.model.version,
        ", ".join(sorted(one.aliases)) or _MISSING,
        one.registered_at[:19].replace("T", " "),
        tags.get(DECISION_TAG, _MISSING),
        _number(tags, f"challenger_{measure}"),
        _number(tags, f"champion_{measure}"),
        difference,
        _number(tags, "challenger_calibration_error"),
        tags.get(deed) or tags.get("decision_reasons", _MISSING),
        tags.get("rolled_back_by" if went_back else "promoted_by", _MISSING),
    ]


def _number(tags: Mapping[str, str], name: str) -> str:
    text = tags.get(f"gate.{name}")
    return _MISSING if text is None else f"{float(text):.4f}"
