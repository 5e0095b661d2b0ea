"""Command line of the prediction service."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from event_backbone.errors import TryAgainLaterError
from event_backbone.process.commands import run_command
from event_backbone.process.files import close_to_others
from event_backbone.process.lifetime import StopDeadline
from event_backbone.process.logs import set_up_logging
from event_backbone.settings import Settings, read_settings
from prediction_service.operations.dead_letters_command import dead_letters
from prediction_service.operations.topics_command import topics
from prediction_service.settings import ErasingSettings, ServingSettings, SidecarSettings, WorkerSettings

#: Of a sidecar or worker; whoever started it waits for about ten.
_STOP_WITHIN_S = 9.5


@click.group(invoke_without_command=True)
@click.pass_context
def cli(context: click.Context) -> None:
    """Serve the champion of CASE over HTTP; settings come from the environment (see .env.example).

    \b
    Examples:
      CASE=census prediction-service            serve on http://127.0.0.1:9696
      CASE=census prediction-service sidecar    relay the journal and follow the champion
      CASE=census prediction-service worker     predict records that come through Kafka
    """
    if context.invoked_subcommand is None:
        _serve()


@cli.command()
def sidecar() -> None:
    """Relay the journal to SINKS and fetch what the alias champion points to.

    \b
    Example:
      CASE=census SINKS=http://127.0.0.1:8085 prediction-service sidecar
    """
    from prediction_service.bootstrap import build_sidecar

    settings = read_settings(SidecarSettings)
    set_up_logging("prediction-sidecar", settings.log_level)
    close_to_others(settings.kept_folders)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    running = build_sidecar(settings, settings.load_case())
    _on_stop_signals(running.stop)
    running.run()


@cli.command()
@click.argument("record_ids", metavar="RECORD_ID...", nargs=-1, required=True)
@click.option("--url", "urls", multiple=True, help="A replica; once for each.  [default: PREDICTION_URL]")
@click.option("--yes", is_flag=True, help="Don't ask before erasing.")
def erase(record_ids: tuple[str, ...], urls: tuple[str, ...], yes: bool) -> None:
    """Erase what is kept about records: at every replica, in idle journals on this machine, and in all SINKS.

    Says what was done at each place, and names what was not erased with the reason. Ends with 1 then, or when a place
    could not be reached; run it again, which is safe. An erased id is gone for good and can't be used again.

    \b
    Examples:
      prediction-service erase ada-1 ada-2
      prediction-service erase ada-1 --yes --url http://replica-1:9696 --url http://replica-2:9696
    """
    from prediction_service.bootstrap import erasure_targets
    from prediction_service.operations.erasure import check_record_ids, erase_everywhere

    settings = read_settings(ErasingSettings)
    case = settings.load_case()
    check_record_ids(record_ids)
    places = erasure_targets(settings, case, urls)
    if not yes:
        click.confirm(f"Erase {len(set(record_ids))} of case {case.name}, for good?", abort=True)
    failed = 0
    for outcome in erase_everywhere(record_ids, case.name, places):
        click.echo(f"{'ok' if outcome.done else 'NOT DONE':<9} {outcome.place}: {outcome.text}")
        failed += not outcome.done
    if failed:
        raise TryAgainLaterError(
            f"not everything was erased at {failed} place{'s' if failed > 1 else ''}; run it again"
        )


@cli.command()
def worker() -> None:
    """Predict records that come through Kafka, with other workers as a group.

    SINKS names Kafka, from which records are taken, and where predictions are kept beside it.

    \b
    Example:
      CASE=census SINKS=mongodb://127.0.0.1:27017/streamgauge,kafka://127.0.0.1:9092 prediction-service worker
    """
    from prediction_service.worker.wiring import build_worker

    settings = read_settings(WorkerSettings)
    set_up_logging("prediction-worker", settings.log_level)
    close_to_others(settings.kept_folders)
    running = build_worker(settings, settings.load_case())
    _on_stop_signals(running.stop)
    running.run()


@cli.command("backup-journal")
@click.argument("destination", type=click.Path(file_okay=False, path_type=Path))
def backup_journal(destination: Path) -> None:
    """Copy every journal of this machine into an empty folder, while servers write them.

    \b
    Example:
      CASE=census prediction-service backup-journal backups/monday
    """
    from prediction_service.journal.backup import back_up_journals

    settings = read_settings(Settings)
    for copied in back_up_journals(settings.journals_dir, destination):
        click.echo(f"{copied.path}: {copied.rows} rows")


@cli.command("restore-journal")
@click.argument("copies", metavar="COPY...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
def restore_journal(copies: tuple[Path, ...]) -> None:
    """Make a new journal of each copy; the sidecar delivers its rows again, which is safe.

    Records that were erased after the copy was made are in it: erase them again.

    \b
    Example:
      CASE=census prediction-service restore-journal backups/monday/00.sqlite
    """
    from prediction_service.journal.backup import restore_journals

    settings = read_settings(Settings)
    for restored in restore_journals(copies, settings.journals_dir):
        click.echo(f"{restored.path}: {restored.rows} rows")


@cli.group()
def keys() -> None:
    """API keys: what a service that others can reach asks for."""


@keys.command("new")
@click.option("--name", required=True, help="Who will use the key; a name may have several.")
@click.option(
    "--append",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add the line to this keys file, made with mode 0600 if there is none.",
)
def new_api_key(name: str, file: Path | None) -> None:
    """Print a fresh key, once, and the line of API_KEYS_FILE that lets it in.

    \b
    Examples:
      prediction-service keys new --name ada
      prediction-service keys new --name ada --append api-keys
    """
    from event_backbone.guards.api_keys import append_line, line_for, new_key

    key = new_key()
    line = line_for(name, key)
    if file is not None:
        append_line(file, line)
    click.echo(f"key   {key}")
    click.echo(f"line  {line}")
    click.echo("The key is shown this once." + (f" The line was added to {file}." if file else ""), err=True)


cli.add_command(topics)
cli.add_command(dead_letters)


def _serve() -> None:
    from event_backbone.guards.access import Access
    from event_backbone.server.admission import AdmissionControl
    from event_backbone.server.capacity import Capacity
    from event_backbone.server.serve import serve
    from prediction_service.bootstrap import build_serving

    settings = read_settings(ServingSettings)
    set_up_logging("prediction-service", settings.log_level)
    close_to_others(settings.kept_folders)
    case = settings.load_case()
    access = Access.of(settings, forms={"/"})
    admission = AdmissionControl(settings.max_in_flight)
    serve(
        lambda draining: build_serving(settings, case, draining, access.keys, admission),
        host=settings.prediction_host,
        port=settings.prediction_port,
        access=access,
        capacity=Capacity(settings.server_threads, settings.max_body_bytes, admission),
    )


def _on_stop_signals(stop: Callable[[], None]) -> None:
    deadline = StopDeadline(_STOP_WITHIN_S)

    def handle(*_: Any) -> None:
        deadline.begin()
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def main() -> None:
    run_command("prediction-service", cli)


if __name__ == "__main__":
    main()
