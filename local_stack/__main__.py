"""``python -m local_stack``, the command of ``make run``: a champion, every service, a stream, until Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from event_backbone.errors import Fault, SettingsError, StopError
from event_backbone.process.commands import run_command
from event_backbone.server.serve import check_port_is_free
from event_backbone.settings import read_settings
from local_stack.children import child
from local_stack.loopback import raise_loopback
from local_stack.make import follow_make
from local_stack.settings import StackSettings

DRIVER = "driver"
_EXIT_INTERRUPTED = 130


def check_ports(settings: StackSettings, *, patience_s: float = 2.0) -> None:
    """Raise :class:`SettingsError` naming every port that is taken."""
    faults: list[Fault] = []
    places = [
        (settings.prediction_host, settings.prediction_port),
        (settings.monitoring_host, settings.monitoring_port),
        *([(settings.training_host, settings.training_port)] if settings.retraining else []),
    ]
    for host, port in places:
        try:
            check_port_is_free(host, port, patience_s=patience_s)
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError("ports", faults)


def run_folder(settings: StackSettings) -> Path | None:
    """A fresh folder for a run that is to be checked; ``None``, which is the case's own, for one that goes on.

    Raises:
        SettingsError: when RUN_DIR holds another run: what that one left would look doubled.
    """
    if settings.records is None:
        return settings.run_dir
    if settings.run_dir is None:
        return settings.case_dir / "runs" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    if settings.run_dir.exists():
        raise SettingsError("settings", [Fault("RUN_DIR", "exists", f"{settings.run_dir} is there already")])
    return settings.run_dir


def train(settings: StackSettings) -> None:
    """Make sure that there is a champion; raise :class:`StopError` when there is none afterwards."""
    arguments = ["-m", "training", "--case", settings.case, "--if-needed"]
    if settings.data_dir is not None:
        arguments += ["--data-dir", str(settings.data_dir)]
    with child(arguments) as training:
        code = training.wait()
    if code != 0:
        raise StopError(f"train-model ended with {code}: there is no champion to serve")


def environment(settings: StackSettings) -> Mapping[str, str]:
    """The processes' environment: ours, and the folder of this run's state."""
    retraining = {"TRAINING_URL": settings.training_url, "RETRAIN_ON_ALERTS": "true"} if settings.retraining else {}
    return {
        **os.environ,
        **retraining,
        "CASE": settings.case,
        "RUN_DIR": str(settings.kept_in),
        "SINKS": os.environ.get("SINKS") or settings.monitoring_url,
        "PYTHONUNBUFFERED": "1",
    }


def run_processes(settings: StackSettings) -> int:
    """Run everything until the driver has ended, a service has died or a signal came; return the exit code."""
    from local_stack.processes import ProcessGroup

    env = environment(settings)
    group = ProcessGroup()
    group.add("prediction", ["-m", "prediction_service"], env)
    group.add("sidecar", ["-m", "prediction_service", "sidecar"], env)
    group.add("monitoring", ["-m", "monitoring_service"], env)
    if settings.retraining:
        group.add("training", ["-m", "training", "serve"], env)
    group.add(DRIVER, ["-m", "local_stack.drive", str(os.getpid())], env)
    group.loop()
    if group.first_to_end not in (None, DRIVER):
        raise StopError(f"{group.first_to_end} ended before its time, with {group.returncode}; everything was stopped")
    return int(group.returncode)


def start() -> None:
    settings = read_settings(StackSettings)
    settings.load_case()
    settings = settings.model_copy(update={"run_dir": run_folder(settings)})
    follow_make()
    if raise_loopback():
        click.echo("the loopback interface was down: brought it up")
    check_ports(settings)
    train(settings)
    sys.exit(run_processes(settings))


def main() -> None:
    try:
        run_command("run", start)
    except KeyboardInterrupt:
        sys.exit(_EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
