"""Wiring of the monitoring service: settings, adapters, threads."""

from __future__ import annotations

import os
from functools import partial
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from event_backbone.case.schema import Case
from event_backbone.guards.api_keys import KeyCheck
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.ports import MessageConsumer
from event_backbone.server.serve import Draining
from event_backbone.web.http_client import outside_client, own_client
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.training_client import HttpTrainingServer
from monitoring_service.alerting.webhook import TIMEOUT_S, Notifier, Webhook
from monitoring_service.checks.detector_alarms import first_row_needed
from monitoring_service.checks.maintenance import InboxMaintenance
from monitoring_service.evaluation.client import EvaluatorPort, EvaluatorProcess
from monitoring_service.intake.kafka_messages import StreamDecoder
from monitoring_service.intake.kafka_places import KeptPlaces
from monitoring_service.intake.kafka_reader import StreamReader
from monitoring_service.intake.kafka_status import StreamStatus
from monitoring_service.intake.receiver import Intake
from monitoring_service.lifecycle.alert_threads import AlertThreads
from monitoring_service.lifecycle.application import CheckThread, MonitoringApplication, StreamThread
from monitoring_service.lifecycle.evaluator_thread import EvaluatorThread
from monitoring_service.lifecycle.instance_lock import InstanceLock
from monitoring_service.lifecycle.restore import Restored, restore
from monitoring_service.lifecycle.standby import ActiveStandby, build_standby
from monitoring_service.lifecycle.stop_notice import FatalStop
from monitoring_service.messages import Start
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.web.app import build_api
from monitoring_service.wiring import Wired, api_parts, wire

REPORT_WITHIN_S = 180.0
KAFKA_TIMEOUT_S = 5.0


def build_service(
    settings: MonitoringServiceSettings, draining: Draining, stop: FatalStop, keys: KeyCheck | None = None
) -> ActiveStandby:
    """The active service, or a standby while another process works on the same folder."""
    service = ActiveStandby(
        InstanceLock(settings.monitoring_dir / "lock"),
        lambda: build_application(settings, draining, stop, keys=keys),
        build_standby(settings.load_case()),
        stop,
    )
    service.start()
    return service


def evaluator_process(case: Case, settings: MonitoringServiceSettings) -> EvaluatorProcess:
    start = Start(
        parent_pid=os.getpid(),
        case=case.model_dump_json().encode(),
        bundles_dir=str(settings.bundles_dir.resolve()),
        accepted_dir=str(settings.accepted_references_dir.resolve()),
        reports_dir=str(settings.reports_dir.resolve()),
        reports_kept=settings.monitoring_reports_kept,
        reports_kept_s=settings.monitoring_report_retention_s,
        report_within_s=REPORT_WITHIN_S,
    )
    return EvaluatorProcess(start, within_s=settings.monitoring_evaluation_timeout_s)


def build_application(
    settings: MonitoringServiceSettings,
    draining: Draining,
    stop: FatalStop,
    evaluator: EvaluatorPort | None = None,
    keys: KeyCheck | None = None,
) -> MonitoringApplication:
    """Open the inbox, restore everything from it and start the threads; ``keys`` open forms."""
    case = settings.load_case()
    metrics = MonitoringMetrics(case, CollectorRegistry(), stale_after_s=settings.monitoring_stale_after_s)
    restored = restore(case, settings)
    access = settings.kafka
    status = StreamStatus() if access else None
    evaluator = evaluator or evaluator_process(case, settings)
    wired = wire(case, settings, restored, metrics, evaluator, status)
    reader = _stream_reader(access, settings, restored, wired.intake, status, stop) if access and status else None
    checks = _check_thread(case, settings, restored, wired)
    stream = StreamThread(reader)
    retraining = _retraining_bridge(settings, wired.alert_service)
    alerts = AlertThreads(
        wired.alert_service, wired.snapshots, _notifier(settings, wired.alert_service, metrics), retraining
    )

    def faults() -> dict[str, str]:
        return _readiness_faults(draining, checks, stream, alerts, status)

    parts = api_parts(case, settings, restored, metrics, wired, faults, keys, retraining)
    application = MonitoringApplication(
        build_api(parts), checks, EvaluatorThread(wired.evaluator_work), stream, alerts, restored.inbox, metrics
    )
    application.start()
    return application


def _check_thread(case: Case, settings: MonitoringServiceSettings, restored: Restored, wired: Wired) -> CheckThread:
    maintenance = InboxMaintenance(
        restored.inbox,
        partial(first_row_needed, restored.windows, case.monitoring.check_every_rows),
        restored.reports,
        retention_s=settings.monitoring_retention_s,
        unmatched_after_s=settings.monitoring_unmatched_after_s,
    )
    return CheckThread(wired.checks, (maintenance.step, wired.performance_windows.step, wired.shadow.step))


def _stream_reader(
    access: KafkaAccess,
    settings: MonitoringServiceSettings,
    restored: Restored,
    intake: Intake,
    status: StreamStatus,
    stop: FatalStop,
) -> StreamReader:
    """Made without a broker being there; the reading thread opens the stream."""
    case = settings.load_case()
    topics = Topics(access.namespace, case.name)

    places = KeptPlaces(restored.inbox)

    def open_stream() -> MessageConsumer:
        read = (topics.predictions, topics.labels, topics.rejections)
        group = topics.group("monitoring")
        return KafkaAssignedConsumer(
            access, read, places.position, group=group, timeout_s=KAFKA_TIMEOUT_S, met=places.met
        )

    decoder = StreamDecoder(case, topics.dead_letters, unreadable_limit=settings.monitoring_unreadable_limit)
    publisher = KafkaPublisher(access, timeout_s=KAFKA_TIMEOUT_S)
    return StreamReader(open_stream, publisher, decoder, intake, status, stop.request)


def _notifier(
    settings: MonitoringServiceSettings, service: AlertService, metrics: MonitoringMetrics
) -> Notifier | None:
    if settings.monitoring_webhook_url is None:
        return None
    webhook = webhook_to(settings.monitoring_webhook_url.get_secret_value(), settings.training_url)
    return Notifier(service, webhook, count=metrics.count_notification)


def webhook_to(url: str, training_url: str | None) -> Webhook:
    """A receiver at the training server's address is one of ours and asked past every proxy; any other is outside."""
    is_ours = training_url is not None and _address(url) == _address(training_url)
    return Webhook(url, own_client(timeout_s=TIMEOUT_S) if is_ours else outside_client(timeout_s=TIMEOUT_S))


def _address(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _retraining_bridge(settings: MonitoringServiceSettings, alerts: AlertService) -> RetrainingBridge | None:
    if settings.training_url is None:
        return None
    key = settings.training_api_key.get_secret_value() if settings.training_api_key else None
    server = HttpTrainingServer(settings.training_url, key)
    return RetrainingBridge(server, alerts if settings.retrain_on_alerts else None)


def _readiness_faults(
    draining: Draining, checks: CheckThread, stream: StreamThread, alerts: AlertThreads, status: StreamStatus | None
) -> dict[str, str]:
    standstill = status.standstill if status else None
    faults = {
        "draining": (draining.is_set(), "the service is stopping"),
        "checks_stopped": (not checks.is_alive(), "the thread that makes the checks has ended"),
        "reading_stopped": (not stream.is_alive(), "the thread that reads from Kafka has ended"),
        "standstill": (standstill is not None, standstill or ""),
        "alerts_stopped": (not alerts.is_alive(), "a thread of the alerts has ended"),
    }
    return {name: message for name, (holds, message) in faults.items() if holds}
