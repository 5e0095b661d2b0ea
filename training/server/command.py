"""`train-model serve`."""

from __future__ import annotations

import click

#: Requests are few and short: a run is a process of its own.
_THREADS = 4


@click.command()
def serve() -> None:
    """Retrain when Alertmanager, the live page or anybody with a key asks for it, one run at a time.

    A run takes the newest labelled predictions, fits a challenger, and makes it the champion if the gate lets it pass.
    Settings come from the environment: TRAINING_PORT, TRAINING_LOG, RETRAINING_COOLDOWN_S and others.

    \b
    Examples:
      CASE=census train-model serve
      TRAINING_LOG=mongodb://127.0.0.1:27017/streamgauge train-model serve
      curl -s -X POST http://127.0.0.1:8090/train -d '{"reason": "new prices"}'
      curl -s http://127.0.0.1:8090/train
    """
    from event_backbone.guards.access import Access
    from event_backbone.process.files import close_to_others
    from event_backbone.process.logs import set_up_logging
    from event_backbone.server.capacity import Capacity
    from event_backbone.server.serve import serve as listen
    from event_backbone.settings import read_settings
    from training.server.api import MOST_BYTES
    from training.server.bootstrap import build_application
    from training.server.settings import TrainingServerSettings

    settings = read_settings(TrainingServerSettings)
    set_up_logging("training-server", settings.log_level)
    close_to_others(settings.kept_folders)
    settings.load_case()
    access = Access.of(settings)
    click.echo(f"training {settings.case}: http://{settings.training_host}:{settings.training_port}/", err=True)
    listen(
        lambda draining: build_application(settings, draining),
        host=settings.training_host,
        port=settings.training_port,
        access=access,
        capacity=Capacity(_THREADS, MOST_BYTES),
    )
