"""The weekly flow in Prefect: each stage a task, retried where what it needs was away."""

# No `from __future__ import annotations`: a scheduled run gets the flow pickled, where a name can't be looked up.

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from event_backbone.errors import Fault, SettingsError, StreamgaugeError, TryAgainLaterError
from event_backbone.formats import markdown
from training.weekly.order import WeeklyOrder, open_week
from training.weekly.prefect_environment import api_url, prepare_prefect
from training.weekly.run_folders import CARD_FILE, REPORT_FILE
from training.weekly.stages import WeekOutcome, run_week

if TYPE_CHECKING:
    from prefect import Flow

T = TypeVar("T")

FLOW_NAME = "weekly-training"
#: A stage is tried again after these times: a restart of a database takes seconds, an upgrade minutes.
RETRY_AFTER_S = (5.0, 30.0, 120.0)


def run_with_prefect(order: WeeklyOrder) -> WeekOutcome:
    """Run the flow here and now, followed by the server of PREFECT_API_URL, or by one that lives as long as it.

    Raises:
        SettingsError: in the settings, the data or the expectations; nothing is registered.
        TryAgainLaterError: something is away and stayed away, Prefect's server among it.
    """
    order = _prepared(order)
    outcomes: list[WeekOutcome] = []
    weekly_flow(outcomes.append)(order)
    return outcomes[0]


def serve_with_prefect(order: WeeklyOrder, cron: str) -> None:
    """Register the schedule (in UTC) with the server of PREFECT_API_URL, and run what falls due until stopped.

    Raises:
        SettingsError: there is no server to keep the schedule, or ``cron`` is none.
        TryAgainLaterError: the server is away.
    """
    order = _prepared(order)
    if api_url() is None:
        message = "is not set: a schedule needs `prefect server start`; without one, let cron run `train-model weekly`"
        raise SettingsError("weekly", [Fault("PREFECT_API_URL", "missing", message)])
    from prefect.schedules import Cron

    try:
        schedule = Cron(cron, timezone="UTC")
    except ValueError:
        raise SettingsError("weekly", [Fault("--cron", "format", f"{cron!r} is no cron schedule")]) from None
    parameters = {"order": order.model_dump()}
    weekly_flow().serve(name=order.case, schedule=schedule, parameters=parameters, tags=["streamgauge"], limit=1)


def _prepared(order: WeeklyOrder) -> WeeklyOrder:
    """The order with its case named; faults that can be known before Prefect starts are raised here."""
    order.check()
    settings = order.settings()
    case = settings.load_case()
    prepare_prefect(settings.state_dir)
    for logger in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_without_traceback)
    _check_server()
    return order.model_copy(update={"case": case.name})


def weekly_flow(done: Callable[[WeekOutcome], object] = lambda _: None) -> "Flow[Any, str]":
    """The flow; call :func:`prepare_prefect` before."""
    from prefect import flow

    @flow(name=FLOW_NAME, flow_run_name="{order.case}")
    def weekly(order: WeeklyOrder) -> str:
        """Retrieve, validate, analyse, train, evaluate, promote, predict new data."""
        outcome = run_week(open_week(order, _say), _run_as_task)
        _show(outcome)
        done(outcome)
        return outcome.training.state

    return weekly


def _without_traceback(record: logging.LogRecord) -> bool:
    """An error of ours says in its text all that is to be known."""
    if record.exc_info and isinstance(record.exc_info[1], StreamgaugeError):
        record.exc_info = None
    return True


def _say(text: str) -> None:
    from prefect.logging import get_run_logger

    get_run_logger().info("%s", text)


def _run_as_task(name: str, stage: Callable[[], T]) -> T:
    """Rows and models stay in this process: Prefect learns that the stage ended, and nothing of what it returned."""
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    returned: list[T] = []

    @task(
        name=name,
        retries=len(RETRY_AFTER_S),
        retry_delay_seconds=list(RETRY_AFTER_S),
        retry_condition_fn=_is_worth_trying_again,
        cache_policy=NO_CACHE,
    )
    def run_stage() -> None:
        returned.append(stage())

    run_stage()
    return returned[-1]


def _is_worth_trying_again(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), TryAgainLaterError)


def _show(outcome: WeekOutcome) -> None:
    """Artifacts on Prefect's pages of a run."""
    from prefect.artifacts import create_markdown_artifact

    card = (outcome.folder / CARD_FILE).read_text(encoding="utf-8")
    create_markdown_artifact(card, key="model-card", description="The challenger, and the decision about it")
    changes = "no earlier run" if outcome.changes is None else outcome.changes.sentence
    told = (f"{changes}; report: {outcome.folder / REPORT_FILE}", outcome.predicted.sentence)
    report = "\n\n".join(map(markdown.paragraph, told))
    create_markdown_artifact(report, key="data", description="The run's data, and what was predicted")


def _check_server() -> None:
    """Raises :class:`TryAgainLaterError` when PREFECT_API_URL is set and nobody answers there."""
    if (url := api_url()) is None:
        return
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        fault = client.api_healthcheck()
    if fault is not None:
        message = (
            f"Prefect's server at {url} doesn't answer ({type(fault).__name__}); start it or unset PREFECT_API_URL"
        )
        raise TryAgainLaterError(message)
