"""Command line of the prediction service."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import click

from event_backbone.commands import run_command
from event_backbone.settings import read_settings
from event_backbone.telemetry import set_up_logging
from prediction_service.settings import ServingSettings, SidecarSettings


@click.group(invoke_without_command=True)
@click.pass_context
def cli(context: click.Context) -> None:
    """Serve the champion of CASE over HTTP; settings come from the environment (see .env.example).

    \b
    Examples:
      CASE=census prediction-service            serve on http://127.0.0.1:9696
      CASE=census prediction-service sidecar    relay the journal and follow the champion
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
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    running = build_sidecar(settings, settings.load_case())
    _on_stop_signals(lambda *_: running.stop())
    running.run()


def _serve() -> None:
    from event_backbone.wsgi_server import Access, serve
    from prediction_service.bootstrap import build_serving

    settings = read_settings(ServingSettings)
    set_up_logging("prediction-service", settings.log_level)
    case = settings.load_case()
    access = Access.of(settings, forms={"/"})
    serve(
        lambda draining: build_serving(settings, case, draining, access.keys),
        host=settings.prediction_host,
        port=settings.prediction_port,
        threads=settings.server_threads,
        access=access,
    )


def _on_stop_signals(handler: Callable[..., Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def main() -> None:
    run_command("prediction-service", cli)


if __name__ == "__main__":
    main()
