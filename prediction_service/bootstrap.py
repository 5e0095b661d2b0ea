"""Wiring of the prediction service and its sidecar: settings, adapters, threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.guards.api_keys import KeyCheck
from event_backbone.kafka.access import is_kafka
from event_backbone.kafka.topics import Topics
from event_backbone.model.bundle import CHAMPION_ALIAS, BundleStore, registered_name
from event_backbone.ports import MessageProducer, ModelRegistry, Sink
from event_backbone.prediction_log.opening import open_prediction_log
from event_backbone.process.file_lock import HeldLock
from event_backbone.server.admission import AdmissionControl
from event_backbone.server.application import GroupHandler
from event_backbone.server.serve import Draining
from prediction_service.delivery.cursors import read_relay_state
from prediction_service.delivery.dead_letter_publishing import DeadLetterPublishing
from prediction_service.delivery.shadow_sink import ShadowSink
from prediction_service.delivery.sidecar import Sidecar
from prediction_service.delivery.sinks import kafka_of_sinks, open_sinks
from prediction_service.inference.champion import ServingChampion
from prediction_service.inference.periodic import PeriodicTasks
from prediction_service.inference.predictor import Predictor
from prediction_service.inference.rejections import RejectionLog
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.slots import JOURNAL_FILE, RELAY_FILE, claim_slot
from prediction_service.journal.writer import Journal
from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.registry_watch import RegistryWatch
from prediction_service.model_sync.shadow_model import SHADOW_POINTER, ShadowModel
from prediction_service.model_sync.sync_files import SyncFiles
from prediction_service.operations.erasure import ErasureTarget, IdleJournals, LocalErasure, ReplicaErasure, SinkErasure
from prediction_service.serving.app import add_admin, build_api
from prediction_service.serving.form import FormKey
from prediction_service.serving.gateway import RequestGateway
from prediction_service.serving.handlers import PredictionHandlers
from prediction_service.serving.journal_maintenance import JournalMaintenance, flush_rejections
from prediction_service.serving.metrics import ReplicaCollector, ServingMetrics
from prediction_service.serving.reloading import Reloading
from prediction_service.serving.status import ReplicaStatus
from prediction_service.serving.stored_predictions import StoredPredictions
from prediction_service.settings import ErasingSettings, ServingSettings, SidecarSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class ServingApplication:
    """The WSGI application, and everything that must be closed behind it."""

    def __init__(
        self,
        gateway: RequestGateway,
        periodic_tasks: PeriodicTasks,
        status: ReplicaStatus,
        journal: Journal,
        rejections: RejectionLog,
        slot_lock: HeldLock,
        metrics: ServingMetrics,
        stored: StoredPredictions,
    ) -> None:
        self._gateway = gateway
        self._stored = stored
        self._metrics = metrics
        self._periodic_tasks = periodic_tasks
        self._status = status
        self._journal = journal
        self._rejections = rejections
        self._slot_lock = slot_lock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._gateway(environ, start_response)

    @property
    def group_handlers(self) -> Mapping[str, GroupHandler]:
        return self._gateway.group_handlers

    def count_unauthorized(self) -> None:
        self._metrics.unauthorized.inc()

    def count_shed(self) -> None:
        self._metrics.shed.inc()

    def close(self) -> None:
        self._periodic_tasks.stop()
        flush_rejections(self._rejections, self._journal)
        self._stored.close()
        self._status.close()
        self._journal.close()
        self._slot_lock.release()


def build_serving(
    settings: ServingSettings,
    case: Case,
    draining: Draining,
    keys: KeyCheck | None = None,
    admission: AdmissionControl | None = None,
) -> ServingApplication:
    """Build one server; called in the process that serves.

    ``keys``: what the form asks for; ``admission``: the server's, for its gauge.
    """
    metrics = ServingMetrics(CollectorRegistry(), case)
    slot, slot_lock = claim_slot(settings.journals_dir)
    sinks = read_relay_state(slot / RELAY_FILE) or {}
    journal = Journal(
        slot / JOURNAL_FILE,
        max_bytes=settings.journal_max_bytes,
        durability=settings.durability,
        delivered_seq=max((sink.delivered_seq for sink in sinks.values()), default=0),
    )
    sync_files = SyncFiles(settings.bundles_dir)
    champion = ServingChampion(BundleStore(settings.bundles_dir), sync_files, case, metrics)
    rejections = RejectionLog(case, metrics)
    status = ReplicaStatus(journal, slot / RELAY_FILE, champion, draining)
    metrics.registry.register(ReplicaCollector(status))
    handlers = PredictionHandlers(
        case, journal, Predictor(case, lambda: champion.scorer), metrics, rejections, settings.max_batch_records
    )
    form_key = FormKey(keys, metrics.unauthorized.inc)
    stored = _stored_predictions(settings, case, journal)
    flask_app = build_api(
        case,
        handlers,
        journal,
        stored,
        status,
        metrics.registry,
        max_body_bytes=settings.max_body_bytes,
        form_key=form_key,
    )
    add_admin(flask_app, Reloading(champion, sync_files))
    if admission is not None:
        metrics.in_flight.set_function(lambda: admission.in_flight)
    gateway = RequestGateway(
        flask_app,
        handlers.predict_all,
        metrics,
        fast_path=settings.lane,
    )
    champion.refresh()
    maintenance = JournalMaintenance(
        journal,
        slot / RELAY_FILE,
        retention_s=settings.journal_retention_s,
        retention_bytes=settings.journal_retention_bytes,
    )
    periodic_tasks = PeriodicTasks(metrics)
    periodic_tasks.every(0.5, "champion", champion.refresh)
    periodic_tasks.every(1.0, "journal", maintenance)
    periodic_tasks.every(1.0, "rejections", lambda: flush_rejections(rejections, journal))
    return ServingApplication(gateway, periodic_tasks, status, journal, rejections, slot_lock, metrics, stored)


def _stored_predictions(settings: ServingSettings, case: Case, journal: Journal) -> StoredPredictions:
    if not settings.prediction_log:
        return StoredPredictions(JournalReader(journal.path), "This replica's journal")
    log = open_prediction_log(
        settings.prediction_log, case.name, settings, timeout_s=settings.sink_timeout_s, place="PREDICTION_LOG"
    )
    return StoredPredictions(log, "The log of predictions")


def build_sidecar(settings: SidecarSettings, case: Case) -> Sidecar:
    """Build one sidecar; no sink and no registry has to be there."""

    registry, sync_files = _registry(settings), SyncFiles(settings.bundles_dir)
    shadow = _shadow(settings, case, registry) if settings.shadow_alias else None

    def open_all_sinks() -> list[Sink]:
        sinks = open_sinks(settings.sinks, case, settings, timeout_s=settings.sink_timeout_s)
        return sinks if shadow is None else [*sinks, *shadow_sinks(settings, case, shadow)]

    open_all_sinks()  # a wrong URL is an error now, not in a thread
    bundles = BundleStore(settings.bundles_dir)
    follower = AliasFollower(registry, bundles, case, registered_name(case), CHAMPION_ALIAS)
    return Sidecar(
        settings.journals_dir,
        open_all_sinks,
        RegistryWatch(follower, sync_files, shadow),
        batch_rows=settings.relay_batch_rows,
        follow_interval_s=settings.follow_interval_s,
        publishing=_publishing(settings, case),
    )


def _shadow(settings: SidecarSettings, case: Case, registry: ModelRegistry) -> ShadowModel:
    bundles = BundleStore(settings.bundles_dir, SHADOW_POINTER)
    follower = AliasFollower(registry, bundles, case, registered_name(case), settings.shadow_alias)
    return ShadowModel(follower, bundles, case)


def shadow_sinks(settings: SidecarSettings, case: Case, shadow: ShadowModel) -> list[ShadowSink]:
    """The sinks of shadow predictions.

    Raises:
        SettingsError: to a Kafka, whose readers take what they find for answers, or to nobody.
    """
    urls = settings.shadow_sinks or [url for url in settings.sinks if not is_kafka(url)]
    faults = [
        Fault(f"SHADOW_SINKS[{index}]", "scheme", "Kafka is not told what a shadow says")
        for index, url in enumerate(urls)
        if is_kafka(url)
    ]
    if not urls:
        faults = [Fault("SHADOW_SINKS", "missing", "names nobody to tell what the shadow says, nor does SINKS")]
    if faults:
        raise SettingsError("settings", faults)
    sinks = open_sinks(urls, case, settings, timeout_s=settings.sink_timeout_s, setting="SHADOW_SINKS")
    return [ShadowSink(sink, shadow, case) for sink in sinks]


def _publishing(settings: SidecarSettings, case: Case) -> DeadLetterPublishing | None:
    """Where a Kafka is among the sinks, refused rows go to its dead letters, too."""
    if not any(is_kafka(url) for url in settings.sinks):
        return None
    access = kafka_of_sinks(settings)

    def open_publisher() -> MessageProducer:
        from event_backbone.kafka.producer import KafkaPublisher

        return KafkaPublisher(access, timeout_s=settings.sink_timeout_s)

    return DeadLetterPublishing(open_publisher, Topics(access.namespace, case.name).dead_letters)


def erasure_targets(settings: ErasingSettings, case: Case, urls: Sequence[str]) -> list[ErasureTarget]:
    """Every store that may hold a record, replicas first; ``urls``: theirs, or none for the one on this machine."""
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    replicas = [
        ReplicaErasure(url, api_key=api_key, timeout_s=settings.sink_timeout_s)
        for url in urls or [settings.prediction_url]
    ]
    asked: list[ErasureTarget] = [*replicas] if urls else [LocalErasure(replicas[0], settings.journals_dir)]
    sinks = open_sinks(settings.sinks, case, settings, timeout_s=settings.sink_timeout_s)
    return [*asked, IdleJournals(settings.journals_dir), *(SinkErasure(sink) for sink in sinks)]


def _registry(settings: SidecarSettings) -> ModelRegistry:
    from event_backbone.model.mlflow_registry import MlflowRegistry

    return MlflowRegistry(settings.mlflow_tracking_uri or f"sqlite:///{(settings.case_dir / 'mlflow.db').resolve()}")
