"""Alertmanager's configuration: who is told what, and what is not worth telling beside something else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from event_backbone.settings import Settings, words

Receiver = Literal["webhook", "slack", "email"]
Config = dict[str, Any]

#: As in monitoring_service/alerting/lifecycle.py, which tells its webhook without Prometheus.
GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = "10s", "1m", "4h"
#: How often the training server hears of what still fires.
RETRAINING_INTERVAL = "5m"

#: What a monitor says about data and model, and about itself: without the monitor it is what was.
FOLLOWS_CHECKS = (
    "FeatureDrift|PredictionDrift|TargetDrift|ConceptDrift|EstimatedLoss|RealisedLoss|BrokenData|LabelDelay"
)
FROM_THE_MONITOR = (
    f"{FOLLOWS_CHECKS}|ReferenceMissing|EvaluatorFailed|DetectorsFailed|MonitorStale|StreamAway|MonitoringLag"
)

TITLE = "[{{ .Status }}] {{ .CommonLabels.severity }}: {{ .GroupLabels.alertname }} {{ .GroupLabels.case }}"
TEXT = (
    "{{ range .Alerts }}{{ .Annotations.summary }} {{ .Annotations.description }} ({{ .Status }}; "
    "{{ .Annotations.runbook }})\n{{ end }}"
)


class AlertingSettings(Settings):
    """Who gets Alertmanager's messages; without any, alerts stand on its page."""

    alert_pages_to: Annotated[list[Receiver], NoDecode] = Field(
        default=["webhook", "slack", "email"], description="who is told at once; those that are not set up are left out"
    )
    alert_tickets_to: Annotated[list[Receiver], NoDecode] = Field(
        default=["webhook", "slack"], description="who is told of what can wait for working hours"
    )
    alert_webhook_url: SecretStr | None = Field(default=None, description="webhook that gets alerts as JSON")
    alert_slack_url_file: Path | None = Field(default=None, description="file with the address of Slack's webhook")
    alert_slack_channel: str = Field(default="#alerts", description="channel in Slack")
    alert_email_to: str | None = Field(default=None, description="addresses that get e-mail, with commas between them")
    alert_email_from: str = Field(default="streamgauge@localhost", description="who e-mail comes from")
    alert_smtp_host: str | None = Field(default=None, description="mail server, as host:port; TLS is required")
    alert_smtp_username: str | None = Field(default=None, description="name to log in to the mail server with")
    alert_smtp_password_file: Path | None = Field(default=None, description="file with the password for it")

    alert_training_url: str | None = Field(
        default=None, description="the training server's webhook, such as http://127.0.0.1:8090/alerts"
    )
    alert_training_key_file: Path | None = Field(default=None, description="file with the key to show to it")
    retraining_alerts: Annotated[list[str], NoDecode] = Field(
        default=["ConceptDrift", "RealisedLoss"], description="alerts that start a retraining"
    )

    _split = field_validator("alert_pages_to", "alert_tickets_to", "retraining_alerts", mode="before")(words)

    @field_validator("alert_slack_url_file", "alert_smtp_password_file", "alert_training_key_file", mode="after")
    @classmethod
    def _no_secret(cls, path: Path | None) -> Path | None:
        """A secret that nobody gave is an empty file."""
        return path if path is not None and path.is_file() and path.stat().st_size else None

    @property
    def webhook_url(self) -> str | None:
        return (self.alert_webhook_url.get_secret_value() if self.alert_webhook_url else "") or None


def alertmanager_config(settings: AlertingSettings) -> Config:
    return {
        "global": _mail_server(settings),
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "case"],
            "group_wait": GROUP_WAIT,
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_INTERVAL,
            "routes": [
                *_retraining_route(settings),
                {"matchers": ["severity = page"], "receiver": "pages"},
                {"matchers": ["severity = ticket"], "receiver": "tickets"},
            ],
        },
        "receivers": [
            {"name": "nobody"},
            {"name": "pages", **_receivers(settings, settings.alert_pages_to)},
            {"name": "tickets", **_receivers(settings, settings.alert_tickets_to)},
            *_retraining_receiver(settings),
        ],
        "inhibit_rules": inhibitions(),
    }


def _retraining_route(settings: AlertingSettings) -> list[Config]:
    """People are told as well. The training server knows what it has trained for: it is told again for what it could
    not begin, during a cooldown."""
    if not settings.alert_training_url:
        return []
    names = "|".join(settings.retraining_alerts)
    route = {"matchers": [f"alertname =~ {names}"], "receiver": "training", "continue": True}
    return [{**route, "repeat_interval": RETRAINING_INTERVAL}]


def _retraining_receiver(settings: AlertingSettings) -> list[Config]:
    if not settings.alert_training_url:
        return []
    webhook: Config = {"url": settings.alert_training_url, "send_resolved": False}
    if settings.alert_training_key_file:
        credentials = {"type": "Bearer", "credentials_file": str(settings.alert_training_key_file)}
        webhook["http_config"] = {"authorization": credentials}
    return [{"name": "training", "webhook_configs": [webhook]}]


def _mail_server(settings: AlertingSettings) -> Config:
    if not settings.alert_smtp_host:
        return {}
    server = {"smtp_smarthost": settings.alert_smtp_host, "smtp_from": settings.alert_email_from}
    if settings.alert_smtp_username and settings.alert_smtp_password_file:
        server["smtp_auth_username"] = settings.alert_smtp_username
        server["smtp_auth_password_file"] = str(settings.alert_smtp_password_file)
    return server


def _receivers(settings: AlertingSettings, wanted: list[Receiver]) -> Config:
    """Each kind that is wanted and set up. The address of a webhook stands in the file itself: before version 0.26
    Alertmanager can't read it from another."""
    found: Config = {}
    if "webhook" in wanted and settings.webhook_url:
        found["webhook_configs"] = [{"url": settings.webhook_url, "send_resolved": True}]
    if "slack" in wanted and settings.alert_slack_url_file:
        slack = {"api_url_file": str(settings.alert_slack_url_file), "channel": settings.alert_slack_channel}
        found["slack_configs"] = [{**slack, "send_resolved": True, "title": TITLE, "text": TEXT}]
    if "email" in wanted and settings.alert_smtp_host and settings.alert_email_to:
        mail = {"to": settings.alert_email_to, "headers": {"Subject": TITLE}, "text": TEXT}
        found["email_configs"] = [{**mail, "send_resolved": True}]
    return found


def inhibitions() -> list[Config]:
    return [
        # Who is behind says what was.
        _mute("alertname = MonitorStale", f"alertname =~ {FOLLOWS_CHECKS}", "case"),
        # Nobody says anything any more; also what the last hour's rules still hold is kept quiet, resolved or not.
        _mute("alertname = MonitorAbsent", f"alertname =~ {FROM_THE_MONITOR}", "case"),
        # Without a case nothing was ever scraped of any.
        _mute('alertname = MonitorAbsent, case = ""', f"alertname =~ {FROM_THE_MONITOR}"),
        # One message about a monitor that is gone is enough.
        _mute("alertname = MonitorAbsent", "alertname =~ ServiceDown|ServiceVanished, job = monitoring", "job"),
        _mute("alertname = BrokenData", "alertname = FeatureDrift", "case", "column"),
        # What a process that is away said about itself is old.
        _mute("alertname = ServiceDown", "alertname != ServiceDown", "job", "instance"),
        _mute("severity = page", "severity = ticket, alertname = ServingErrorBudgetBurn", "alertname", "case"),
    ]


def _mute(source: str, target: str, *equal: str) -> Config:
    rule: Config = {"source_matchers": source.split(", "), "target_matchers": target.split(", ")}
    return {**rule, "equal": list(equal)} if equal else rule
