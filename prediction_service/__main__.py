"""Command line of the prediction service."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
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
    from event_backbone.api_keys import append_line, line_for, new_key

    key = new_key()
    line = line_for(name, key)
    if file is not None:
        append_line(file, line)
    click.echo(f"key   {key}")
    click.echo(f"line  {line}")
    click.echo("The key is shown this once." + (f" The line was added to {file}." if file else ""), err=True)


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
