"""The process of one run: ``python -m training.server.run_main FD``; order on stdin, messages to FD."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import structlog
from msgspec.structs import asdict

from event_backbone.errors import StreamgaugeError
from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.logs import set_up_logging
from event_backbone.settings import read_settings
from training.server.messages import Line, RunOrder, RunResult, RunStage
from training.server.settings import TrainingServerSettings

log = structlog.get_logger()

#: A run has time, and serving on the same machine has not.
_NICENESS = 5


@dataclass(frozen=True)
class RunReport:
    """The pipe to the server."""

    pipe: BinaryIO

    def stage(self, text: str) -> None:
        self._tell(RunStage(text))

    def ended(self, ended: RunResult) -> None:
        self._tell(ended)

    def _tell(self, line: Line) -> None:
        self.pipe.write(msgspec.json.encode(line) + b"\n")
        self.pipe.flush()


def run(order: RunOrder, settings: TrainingServerSettings, progress: Callable[[str], None]) -> RunResult:
    """Collect, fit, decide; raises what any of them raises."""
    from training.bootstrap import build_parts
    from training.fitting.challenger import TrainingPlan
    from training.flow.training_flow import retrain
    from training.server.newest_records import NewestRecords

    case = settings.load_case()
    parts = build_parts(settings, log_url=settings.log_url)
    assert parts.places.log is not None
    newest = NewestRecords(case, parts.places.log, settings.retraining_rows)
    if order.alert_since is None:
        rows = newest.read()
    else:
        rows = newest.after(order.alert_since, longest_s=settings.retraining_wait_s, progress=progress)
    progress(f"training on the {len(rows):,} newest labelled records")
    outcome = retrain(case, TrainingPlan(settings.training_seed, settings.training_threads), parts, rows, progress)
    assert outcome.decision is not None
    assert outcome.challenger is not None
    challenger = {"challenger": asdict(outcome.challenger.model)}
    return RunResult(outcome.decision.state, {**challenger, **outcome.decision.report()})


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=RunOrder)
    die_with_parent(order.parent_pid)
    os.nice(_NICENESS)
    with os.fdopen(int(sys.argv[1]), "wb") as pipe:
        report = RunReport(pipe)
        try:
            settings = read_settings(TrainingServerSettings)
            set_up_logging("training-run", settings.log_level)
            report.ended(run(order, settings, report.stage))
        except StreamgaugeError as error:
            log.error("retraining_failed", run=order.run_id, error=str(error))
            report.ended(RunResult("failed", {"reasons": [re.sub(r"\s+", " ", str(error))]}))


if __name__ == "__main__":
    main()
