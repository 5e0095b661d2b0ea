"""Command line of the monitoring service."""

from __future__ import annotations

import click

from event_backbone.commands import run_command
from event_backbone.errors import Fault, SettingsError
from event_backbone.settings import read_settings
from event_backbone.telemetry import set_up_logging
from event_backbone.wsgi_server import Access, serve
from monitoring_service.api import REPORT_PATH
from monitoring_service.bootstrap import build_application
from monitoring_service.instance_lock import InstanceLock
from monitoring_service.settings import MonitoringServiceSettings

EPILOG = """
\b
Examples:
  monitoring-service
  CASE=housing MONITORING_PORT=8086 monitoring-service
  curl -s http://127.0.0.1:8085/api/state
"""


@click.command(epilog=EPILOG)
def cli() -> None:
    """Take predictions and labels on POST /events, watch drift and quality, and show them on a live page."""
    settings = read_settings(MonitoringServiceSettings)
    set_up_logging("monitoring-service", settings.log_level)
    settings.load_case()
    access = Access.of(settings, forms={REPORT_PATH})
    lock = InstanceLock(settings.monitoring_dir / "lock")
    if not lock.acquire():
        message = f"another monitoring-service already works on {settings.monitoring_dir}; one may run for a case"
        raise SettingsError("monitoring-service", [Fault("RUN_DIR", "taken", message)])
    click.echo(f"monitoring {settings.case}: http://{settings.monitoring_host}:{settings.monitoring_port}/", err=True)
    serve(
        lambda draining: build_application(settings, draining, keys=access.keys),
        host=settings.monitoring_host,
        port=settings.monitoring_port,
        threads=settings.monitoring_threads,
        access=access,
    )


def main() -> None:
    run_command("monitoring-service", cli)


if __name__ == "__main__":
    main()
