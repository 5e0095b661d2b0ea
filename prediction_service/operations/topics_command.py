"""The command line of `prediction-service topics`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from event_backbone.kafka.admin import TopicSpec, list_topics
from event_backbone.kafka.topics import Topics
from event_backbone.settings import read_settings
from prediction_service.delivery.sinks import kafka_of_sinks
from prediction_service.operations.topics import TopicMismatch, create, differences, wanted_topics
from prediction_service.settings import ReplicaSettings

_WEEK_S = 7 * 86400.0


@click.group()
def topics() -> None:
    """Make and list the topics of CASE, at the Kafka among SINKS."""


def _options(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--partitions", default=6, show_default=True, type=click.IntRange(1, 1000), help="Of each topic."),
        click.option("--replication", default=1, show_default=True, type=click.IntRange(1, 100), help="Of each topic."),
        click.option(
            "--retention-s", default=_WEEK_S, show_default=True, type=click.FloatRange(0), help="0 keeps them for good."
        ),
    ):
        command = option(command)
    return command


@topics.command("create")
@_options
def create_command(partitions: int, replication: int, retention_s: float) -> None:
    """Make the topics that are missing, and list how the others differ from what is wanted.

    What is there is never changed: doing it again does nothing.

    \b
    Example:
      CASE=census SINKS=kafka://127.0.0.1:9092 prediction-service topics create --partitions 12
    """
    settings = read_settings(ReplicaSettings)
    access = kafka_of_sinks(settings)
    names = Topics(access.namespace, settings.load_case().name)
    wanted = wanted_topics(names, partitions=partitions, replication=replication, retention_s=retention_s)
    made, differing = create(access, wanted, timeout_s=settings.sink_timeout_s)
    for spec in wanted:
        click.echo(f"{'made ' if spec.name in made else 'there'} {spec.name}")
    _show(differing)


@topics.command("list")
@_options
def list_command(partitions: int, replication: int, retention_s: float) -> None:
    """Show the topics, and how they differ from what `create` would make; 1 when one is missing.

    \b
    Example:
      CASE=census SINKS=kafka://127.0.0.1:9092 prediction-service topics list
    """
    settings = read_settings(ReplicaSettings)
    access = kafka_of_sinks(settings)
    names = Topics(access.namespace, settings.load_case().name)
    wanted = wanted_topics(names, partitions=partitions, replication=replication, retention_s=retention_s)
    found = list_topics(access, names.all, timeout_s=settings.sink_timeout_s)
    for spec in wanted:
        click.echo(_line(spec.name, found.get(spec.name)))
    _show(differences(wanted, found))
    if len(found) < len(wanted):
        raise click.exceptions.Exit(1)


def _line(name: str, found: TopicSpec | None) -> str:
    if found is None:
        return f"missing  {name}"
    return f"there    {name}  partitions {found.partitions}, replication {found.replication}"


def _show(differing: Sequence[TopicMismatch]) -> None:
    for one in differing:
        click.echo(f"differs: {one.topic}: {one.setting} is {one.found}, not {one.wanted}", err=True)
