"""What is waited for though the service is ready, as sentences: for probes, page and state."""

from __future__ import annotations

from monitoring_service.evaluation.evaluator_status import EvaluatorView
from monitoring_service.windows.sliding_window import Windows


def waited_for(*, was_checked: bool, windows: Windows, counted: int, evaluator: EvaluatorView) -> dict[str, str]:
    """By what waits: the ``first_check``, after ``counted`` records, and Evidently's ``reports``."""
    sentences = {
        "first_check": None if was_checked else _first_check(windows, counted),
        "reports": evaluator.waiting_for,
    }
    return {name: sentence for name, sentence in sentences.items() if sentence}


def _first_check(windows: Windows, counted: int) -> str:
    if windows.backlog_rows:
        return "the first check is due, and being made"
    return f"no check was made yet: the first is made at record {windows.next_check_row}, and {counted} came"
