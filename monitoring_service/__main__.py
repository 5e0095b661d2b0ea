"""Command line of the monitoring service."""

from __future__ import annotations

import click

from event_backbone.guards.access import Access
from event_backbone.process.commands import run_command
from event_backbone.process.files import close_to_others
from event_backbone.process.logs import set_up_logging
from event_backbone.server.capacity import Capacity
from event_backbone.server.serve import serve
from event_backbone.settings import read_settings
from monitoring_service.bootstrap import build_service
from monitoring_service.lifecycle.stop_notice import FatalStop
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.views.report_document import REPORTS_PATH

EPILOG = """
\b
Examples:
  monitoring-service
  CASE=housing MONITORING_PORT=8086 monitoring-service
  MONITORING_EVENTS=kafka://127.0.0.1:9092 monitoring-service
  curl -s http://127.0.0.1:8085/api/state
"""


@click.command(epilog=EPILOG)
def cli() -> None:
    """Take predictions and labels, watch drift and performance, and show them on a live page.

    A second one on the same folder stands by and takes over when the first is gone.
    """
    settings = read_settings(MonitoringServiceSettings)
    set_up_logging("monitoring-service", settings.log_level)
    close_to_others(settings.kept_folders)
    settings.load_case()
    _ = settings.kafka  # what its login lacks is told now
    access = Access.of(settings, forms={REPORTS_PATH})
    stop = FatalStop()
    click.echo(f"monitoring {settings.case}: http://{settings.monitoring_host}:{settings.monitoring_port}/", err=True)
    serve(
        lambda draining: build_service(settings, draining, stop, keys=access.keys),
        host=settings.monitoring_host,
        port=settings.monitoring_port,
        access=access,
        capacity=Capacity(settings.monitoring_threads, settings.monitoring_max_body_bytes),
    )
    stop.raise_if_stopped()


def main() -> None:
    run_command("monitoring-service", cli)


if __name__ == "__main__":
    main()
