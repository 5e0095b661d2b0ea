"""Command line of the stream generator."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from event_backbone.process.commands import run_command
from event_backbone.process.files import close_to_others
from event_backbone.settings import read_settings
from stream_generator.checking.command import check_command
from stream_generator.commands.options import Delivery, PositiveOrMax, ReplayOptions, with_delivery, with_replay_options
from stream_generator.commands.summary import ScenarioRun
from stream_generator.rescoring.comparing import RescoringCommand
from stream_generator.runs.replay import ReplayCommand
from stream_generator.runs.run import StreamRun
from stream_generator.scenario.records import read_rows
from stream_generator.scenario.scenarios import NO_DRIFT, find_scenario
from stream_generator.sending.planning import Plan
from stream_generator.settings import GeneratorSettings

_FILE = click.Path(dir_okay=False, path_type=Path)
_CASE = click.option("--case", "case_name", help="The case.  [default: CASE, or census]")


def _settings(case_name: str | None) -> GeneratorSettings:
    settings = read_settings(GeneratorSettings)
    return settings.model_copy(update={"case": case_name}) if case_name else settings


@click.group()
def cli() -> None:
    """Send records of a case to the prediction service or to Kafka, paced or as a replay, and check what is kept."""


@cli.command()
@_CASE
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
      stream-generator send --count 20000 --rate 2000 --to kafka://127.0.0.1:9092
    """
    _check_books(delivery)
    settings = _settings(case_name)
    case = settings.load_case()
    scenario = find_scenario(scenario_name, case, settings.cases_dir)
    plan = Plan(delivery.run_id, seed, count, rate, label_share, scenario)
    rows = read_rows(records or settings.stream_path)
    injected = ScenarioRun(scenario.name, plan.start_index, scenario.columns)
    sys.exit(StreamRun(settings, delivery, count, seed, injected).execute(plan.items(rows, case)))


@cli.command()
@with_replay_options
@_CASE
@click.option("--model", "model_version", help="Send nothing: score again with this registered version, and compare.")
@click.option("--keep", "keep_url", help="With --model: store what it says in MongoDB, mongodb://host[/database].")
@with_delivery
def replay(
    options: ReplayOptions, case_name: str | None, model_version: str | None, keep_url: str | None, delivery: Delivery
) -> None:
    """Send what was recorded again, in its order and with its gaps; or score it again with another model.

    A line of a JSONL file is {"record": {...}, "label"?, "record_id"?, "at"?, "labelled_at"?}. The source is only read.
    Records reach Kafka in their order. Over HTTP they are sent in their order, and several are in flight; two of the
    same id never are. Labels follow their records after --label-delay; from Kafka, where --since and --until mean the
    times of the messages, they keep their place among the records.

    A replay that ended early goes on with --resume: a few records may be sent twice, with the same ids.

    With --model nothing is sent and no log is changed: the summary tells flipped decisions and how the scores moved,
    by segment and by the version that answered then.

    \b
    Examples:
      stream-generator replay --from var/census/journals/00/journal.sqlite --speed 10x
      stream-generator replay --from night.jsonl --speed max --new-ids --to http://127.0.0.1:9796
      stream-generator replay --from mongodb://127.0.0.1:27017 --since 2026-01-31T08:00:00Z --to kafka://127.0.0.1:9092
      stream-generator replay --from kafka://127.0.0.1:9092 --topic records --speed 10x --resume
      stream-generator replay --from mongodb://127.0.0.1:27017 --model 7 --summary difference.json
    """
    _check_books(delivery)
    settings = _settings(case_name)
    close_to_others(settings.kept_folders)
    if model_version is not None:
        _check_sends_nothing(options, delivery)
        sys.exit(RescoringCommand(settings, options, model_version, keep_url, delivery.summary_path).execute())
    if keep_url is not None:
        raise click.UsageError("--keep goes with --model")
    sys.exit(ReplayCommand(settings, delivery, options).execute())


@cli.command()
@click.argument("books", type=_FILE)
@click.argument("stores", metavar="STORE...", nargs=-1)
@_CASE
@click.option(
    "--monitoring",
    "monitoring_url",
    help="Also compare what this monitoring service counted; nobody else may have sent meanwhile.",
)
@click.option(
    "--within",
    "within_s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that records may still be on their way.",
)
@click.option("--erase", is_flag=True, help="Then erase the records in the books at every replica, http://…, named.")
@click.option("--report", "report_path", type=_FILE, help="Write the findings there as JSON, with every id.")
def check(
    books: Path,
    stores: tuple[str, ...],
    case_name: str | None,
    monitoring_url: str | None,
    within_s: float,
    erase: bool,
    report_path: Path | None,
) -> None:
    """Compare the books of `send` or `replay` with what an installation keeps: nothing lost, doubled or differing.

    BOOKS is the file that --books wrote. A STORE is http://… of a prediction service, mongodb://host[/database],
    kafka://host:9092[/namespace], sqlite:///journal or a journal's path.  [default: PREDICTION_URL]

    Every record that was answered has to be in each store, once, with the record that was sent and the answer that was
    given. A topic may hold the same message again, which is counted. Ends with 1 when anything is wrong.

    --erase leaves nothing of the records in replicas, sinks and monitoring's inbox but the ids, which can't be used
    again; topics forget when they are compacted.

    \b
    Examples:
      stream-generator send --count 1000 --label-share 0 --run-id check-1 --books check-1.books
      stream-generator check check-1.books http://127.0.0.1:9696 mongodb://127.0.0.1:27017 kafka://127.0.0.1:9092
      stream-generator check check-1.books http://127.0.0.1:9696 --erase
    """
    command = check_command(
        _settings(case_name),
        books,
        stores,
        monitoring_url=monitoring_url,
        within_s=within_s,
        erase=erase,
        report_path=report_path,
    )
    sys.exit(command.execute())


def _check_books(delivery: Delivery) -> None:
    if delivery.monitoring_url is not None and delivery.books_path is None:
        raise click.UsageError("--monitoring goes with --books")


def _check_sends_nothing(options: ReplayOptions, delivery: Delivery) -> None:
    given = {
        "--to": delivery.target,
        "--resume": options.resume,
        "--state": options.state_path,
        "--books": delivery.books_path,
    }
    if names := [name for name, value in given.items() if value]:
        raise click.UsageError(f"--model sends nothing: leave out {' and '.join(names)}")


def main() -> None:
    run_command("stream-generator", cli)


if __name__ == "__main__":
    main()
