"""Wiring of the worker: settings, adapters, threads."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from werkzeug.serving import BaseWSGIServer

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.guards.access import Access
from event_backbone.kafka.access import is_kafka, kafka_access
from event_backbone.kafka.lag import StandstillClock
from event_backbone.kafka.topics import Topics
from event_backbone.model.bundle import BundleStore
from prediction_service.delivery.sinks import open_sinks
from prediction_service.inference.champion import ServingChampion
from prediction_service.inference.periodic import PeriodicTasks
from prediction_service.inference.predictor import Predictor
from prediction_service.model_sync.sync_files import SyncFiles
from prediction_service.settings import WorkerSettings
from prediction_service.worker.batches import BatchMaker, WorkBatch
from prediction_service.worker.loop import WorkerLoop, WorkerTiming
from prediction_service.worker.metrics import WorkerMetrics
from prediction_service.worker.pipeline import Pipeline
from prediction_service.worker.probes import WorkerStatus, build_worker_api, serve_beside
from prediction_service.worker.steps import PublishStep, StoreStep

#: One that is kept, one that is published, and one that waits.
_BATCHES_IN_HAND = 3


class RunningWorker:
    """The worker with its probes and the thread that follows the champion; :meth:`run` blocks until :meth:`stop`."""

    def __init__(self, worker: WorkerLoop, periodic_tasks: PeriodicTasks, probes: BaseWSGIServer) -> None:
        self._worker = worker
        self._periodic_tasks = periodic_tasks
        self._probes = probes

    def run(self) -> None:
        try:
            self._worker.run()
        finally:
            self._periodic_tasks.stop()
            self._probes.shutdown()

    def stop(self) -> None:
        self._worker.stop()


class StepMetrics:
    """A pipeline's meter on the worker's metrics."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def took(self, step: str, seconds: float) -> None:
        self._metrics.step_seconds.labels(step).observe(seconds)

    def retried(self, step: str) -> None:
        self._metrics.retries.labels(step).inc()


def build_worker(settings: WorkerSettings, case: Case) -> RunningWorker:
    """Build one worker; neither broker nor sinks nor a champion have to be there."""
    from event_backbone.kafka.group_consumer import KafkaGroupConsumer
    from event_backbone.kafka.producer import KafkaPublisher

    access = kafka_access(_kafka_url(settings), settings, place="SINKS")
    topics = Topics(access.namespace, case.name)
    others = [url for url in settings.sinks if not is_kafka(url)]
    sinks = open_sinks(others, case, settings, timeout_s=settings.sink_timeout_s)
    metrics = WorkerMetrics(CollectorRegistry(), case)
    champion = ServingChampion(BundleStore(settings.bundles_dir), SyncFiles(settings.bundles_dir), case, metrics)
    champion.refresh()
    maker = BatchMaker(
        case,
        topics,
        Predictor(case, lambda: champion.scorer),
        metrics,
        most_invalid_in_a_row=settings.worker_max_invalid_in_a_row,
    )
    publisher = KafkaPublisher(access, timeout_s=settings.sink_timeout_s)
    steps: list[tuple[str, Callable[[WorkBatch], None]]] = [
        *([("keep", StoreStep(sinks, maker))] if sinks else []),
        ("publish", PublishStep(publisher, topics, case.sha256, maker, metrics)),
    ]
    taken = [topics.records, *([topics.labels] if sinks else [])]
    standstill = StandstillClock(taken)
    metrics.expect(taken, [name for name, _ in steps], standstill)
    pipeline: Pipeline[WorkBatch] = Pipeline(steps, StepMetrics(metrics), depth=_BATCHES_IN_HAND)
    worker = WorkerLoop(
        lambda listener: KafkaGroupConsumer(
            access,
            topics=taken,
            group=topics.group("worker"),
            listener=listener,
            session_timeout_s=settings.worker_session_timeout_s,
        ),
        maker,
        pipeline,
        metrics,
        lambda: champion.scorer is not None,
        WorkerTiming(batch_records=settings.worker_batch_records),
        standstill,
    )
    periodic_tasks = PeriodicTasks(metrics)
    periodic_tasks.every(0.5, "champion", champion.refresh)
    app = build_worker_api(case, WorkerStatus(worker, champion), metrics.registry)
    probes = serve_beside(app, metrics, Access.of(settings), host=settings.worker_host, port=settings.worker_port)
    return RunningWorker(worker, periodic_tasks, probes)


def _kafka_url(settings: WorkerSettings) -> str:
    urls = [url for url in settings.sinks if is_kafka(url)]
    if len(urls) != 1:
        message = "the worker needs one kafka:// URL: there it takes records and publishes predictions"
        raise SettingsError("settings", [Fault("SINKS", "missing", message)])
    return urls[0]
