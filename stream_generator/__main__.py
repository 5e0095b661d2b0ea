"""Command line of the stream generator."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from event_backbone.commands import run_command
from event_backbone.errors import Fault, SettingsError
from event_backbone.settings import read_settings
from stream_generator.bootstrap import build_open_loop
from stream_generator.options import Delivery, PositiveOrMax, UtcTime, with_delivery
from stream_generator.pacing import StoppableClock
from stream_generator.planning import Outgoing, Plan
from stream_generator.progress import progress_display
from stream_generator.records import read_rows
from stream_generator.replay import Period, open_recording, replayed
from stream_generator.scenarios import NO_DRIFT, find_scenario
from stream_generator.settings import GeneratorSettings
from stream_generator.summary import ScenarioRun, Summary, summarize, summary_lines, write_summary
from stream_generator.tally import Tally

NOTHING_INJECTED = ScenarioRun(NO_DRIFT.name, 0, [])
_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, once it is known what will be sent. ``asked`` is ``None`` when it has no end."""

    settings: GeneratorSettings
    delivery: Delivery
    asked: int | None = None
    seed: int = 0
    scenario: ScenarioRun = NOTHING_INJECTED

    def execute(self, items: Iterator[Outgoing]) -> int:
        """Send everything, print and write the summary; return the exit code: 0, 1 or 128 + the signal."""
        clock, tally = StoppableClock(), Tally()
        loop = build_open_loop(self.settings, self.delivery, clock, tally)
        signals = _stop_on_signals(clock)
        with progress_display(self.asked, clock) as progress:
            seconds = loop.run(items, lambda: progress.show(tally.totals()))
        self._report(self._summary(tally, seconds, interrupted=bool(signals)))
        return 128 + signals[0] if signals else int(not tally.totals().all_well)

    def _summary(self, tally: Tally, seconds: float, *, interrupted: bool) -> Summary:
        return summarize(
            tally.totals(),
            run_id=self.delivery.run_id,
            seed=self.seed,
            asked=self.asked,
            seconds=seconds,
            scenario=self.scenario,
            interrupted=interrupted,
        )

    def _report(self, summary: Summary) -> None:
        for line in summary_lines(summary):
            click.echo(line)
        if self.delivery.summary_path is not None:
            write_summary(summary, self.delivery.summary_path)


def _stop_on_signals(clock: StoppableClock) -> list[int]:
    """Let SIGINT or SIGTERM end the run in order, and a SIGINT after that at once; return where they are noted."""
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Handlers interrupt each other, and the clock's lock may be taken once: the first one stops it.
        if not received:
            received.append(number)
            clock.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received


def _settings(case_name: str | None) -> GeneratorSettings:
    settings = read_settings(GeneratorSettings)
    return settings.model_copy(update={"case": case_name}) if case_name else settings


@click.group()
def cli() -> None:
    """Send records of a case to the prediction service, as a paced stream or as a replay."""


@cli.command()
@click.option("--case", "case_name", help="The case.  [default: CASE, or census]")
@click.option("--rate", default="50", show_default=True, type=PositiveOrMax("rate"), help="Records a second, or max.")
@click.option("--count", type=click.IntRange(min=1), help="How many records; without it, until Ctrl-C.")
@click.option(
    "--scenario",
    "scenario_name",
    default=NO_DRIFT.name,
    show_default=True,
    help="Drift to inject, one of cases/<case>.scenarios.yaml.",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The same seed sends the same records."
)
@click.option(
    "--label-share",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the records that get a label.",
)
@click.option("--records", type=_FILE, help="JSONL file of records and labels.  [default: the case's stream split]")
@with_delivery
def send(
    case_name: str | None,
    rate: float | None,
    count: int | None,
    scenario_name: str,
    seed: int,
    label_share: float,
    records: Path | None,
    delivery: Delivery,
) -> None:
    """Send records of the stream split at a steady rate, with labels that follow and drift if asked for.

    When more records are asked for than there are, they are drawn again in another order. Ends with 1 when anything
    failed.

    \b
    Examples:
      stream-generator send --count 1000 --rate 200
      stream-generator send --case housing --scenario gradual-shift --count 6000 --seed 7
      stream-generator send --count 20000 --rate max --concurrency 16 --label-share 0 --summary sent.json
    """
    settings = _settings(case_name)
    case = settings.load_case()
    scenario = find_scenario(scenario_name, case, settings.cases_dir)
    plan = Plan(delivery.run_id, seed, count, rate, label_share, scenario)
    rows = read_rows(records or settings.stream_path)
    injected = ScenarioRun(scenario.name, plan.start_index, scenario.columns)
    sys.exit(Run(settings, delivery, count, seed, injected).execute(plan.items(rows, case)))


@cli.command()
@click.option("--from", "source", required=True, type=_FILE, help="A journal, or a JSONL file.")
@click.option("--speed", default="1x", show_default=True, type=PositiveOrMax("speed", "x"), help="Such as 10x, or max.")
@click.option("--since", type=UtcTime(), help="Leave out what was recorded before, such as 2026-01-31T08:00:00Z.")
@click.option("--until", type=UtcTime(), help="Leave out what was recorded then or later.")
@click.option("--new-ids", is_flag=True, help="Give every record a new id instead of its recorded one.")
@click.option("--labels/--no-labels", default=True, show_default=True, help="Send recorded labels again, too.")
@with_delivery
def replay(
    source: Path,
    speed: float | None,
    since: datetime | None,
    until: datetime | None,
    new_ids: bool,
    labels: bool,
    delivery: Delivery,
) -> None:
    """Send what a journal or a JSONL file recorded again, in its order and with its gaps.

    A line of a JSONL file is {"record": {...}, "label"?, "record_id"?, "at"?}. The journal is only read.

    \b
    Examples:
      stream-generator replay --from var/census/journals/00/journal.sqlite --speed 10x
      stream-generator replay --from night.jsonl --speed max --new-ids --url http://127.0.0.1:9796
    """
    settings = read_settings(GeneratorSettings)
    recording = open_recording(source, Period(since, until), needs_times=speed is not None)
    if not recording.total:
        raise SettingsError(str(source), [Fault("--from", "empty", "holds no prediction of that time")])
    items = replayed(recording.items, speed=speed, run_id=delivery.run_id, new_ids=new_ids, send_labels=labels)
    sys.exit(Run(settings, delivery, recording.total).execute(items))


def main() -> None:
    run_command("stream-generator", cli)


if __name__ == "__main__":
    main()
