"""Alertmanager's configuration: taken by its own checker, routed by consequence, with secrets where they belong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import rules
from real_parts_cache import part_or_skip

from monitoring_service.alerting.catalogue import CATALOGUE
from monitoring_service.alerting.lifecycle import GROUP_INTERVAL_S, GROUP_WAIT_S, REPEAT_S
from prometheus.render import FOLDER, duration, scaled, seconds
from prometheus.routing import FOLLOWS_CHECKS, FROM_THE_MONITOR

WEBHOOK = "https://alerts.example/hook?token=a&b=c"


def rendered(*arguments: str | Path, **settings: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "prometheus.render", *map(str, arguments)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def amtool(*arguments: str | Path) -> str:
    part_or_skip("amtool")
    ended = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, content in {"alert_webhook_url": WEBHOOK, "slack": "https://hooks.slack.example/T", "smtp": "pw"}.items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def everybody(secrets: Path) -> dict[str, str]:
    """Settings with each kind of receiver."""
    return {
        "SECRETS_DIR": str(secrets),
        "ALERT_SLACK_URL_FILE": str(secrets / "slack"),
        "ALERT_SMTP_HOST": "mail.example:587",
        "ALERT_SMTP_USERNAME": "streamgauge",
        "ALERT_SMTP_PASSWORD_FILE": str(secrets / "smtp"),
        "ALERT_EMAIL_TO": "people@example.com",
    }


def config_of(tmp_path: Path, **settings: str) -> tuple[Path, dict[str, Any]]:
    path = tmp_path / "rendered" / "alertmanager.yml"
    rendered("alertmanager", path, **settings)
    return path, yaml.safe_load(path.read_text())


def kinds_of(config: dict[str, Any], receiver: str) -> set[str]:
    (found,) = [one for one in config["receivers"] if one["name"] == receiver]
    return {key.removesuffix("_configs") for key in found if key != "name"}


def test_the_committed_configuration_is_the_one_without_receivers(tmp_path: Path) -> None:
    path, config = config_of(tmp_path)
    assert path.read_text() == (FOLDER / "alertmanager.yml").read_text(), (
        "run: python -m prometheus.render alertmanager"
    )
    assert [kinds_of(config, one["name"]) for one in config["receivers"]] == [set()] * 3


def test_amtool_takes_it_with_and_without_receivers(tmp_path: Path, everybody: dict[str, str]) -> None:
    assert "SUCCESS" in amtool("check-config", FOLDER / "alertmanager.yml")
    path, config = config_of(tmp_path, **everybody)
    assert "SUCCESS" in amtool("check-config", path)
    assert kinds_of(config, "pages") == {"webhook", "slack", "email"}
    assert kinds_of(config, "tickets") == {"webhook", "slack"}


def test_who_gets_pages_and_who_gets_tickets_can_be_chosen(tmp_path: Path, everybody: dict[str, str]) -> None:
    _, config = config_of(tmp_path, **everybody, ALERT_PAGES_TO="email", ALERT_TICKETS_TO="webhook,email")
    assert kinds_of(config, "pages") == {"email"}
    assert kinds_of(config, "tickets") == {"webhook", "email"}


def test_secrets_stay_in_their_files_or_in_one_that_only_the_group_reads(
    tmp_path: Path, everybody: dict[str, str]
) -> None:
    path, config = config_of(tmp_path, **everybody)
    text = path.read_text()
    assert "hooks.slack.example" not in text
    assert config["global"]["smtp_auth_password_file"].endswith("/smtp")
    assert "pw" not in str(config["global"].values())
    assert WEBHOOK in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o440


def test_an_empty_secret_is_no_receiver(tmp_path: Path, everybody: dict[str, str], secrets: Path) -> None:
    for name in ("alert_webhook_url", "slack"):
        (secrets / name).write_text("")
    _, config = config_of(tmp_path, **{**everybody, "ALERT_SMTP_HOST": ""})
    assert kinds_of(config, "pages") == kinds_of(config, "tickets") == set()


def test_the_training_server_is_told_of_degraded_performance_beside_the_people(tmp_path: Path, secrets: Path) -> None:
    key = secrets / "training_key"
    key.write_text("a-secret")
    url = "http://training:8090/alerts"
    path, config = config_of(tmp_path, ALERT_TRAINING_URL=url, ALERT_TRAINING_KEY_FILE=str(key))
    assert "SUCCESS" in amtool("check-config", path)
    assert "a-secret" not in path.read_text()
    (receiver,) = [one for one in config["receivers"] if one["name"] == "training"]
    (webhook,) = receiver["webhook_configs"]
    assert (webhook["url"], webhook["send_resolved"]) == (url, False)
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(key)

    def told(name: str, severity: str) -> str:
        labels = (f"alertname={name}", f"severity={severity}", "case=census")
        return amtool("config", "routes", "test", f"--config.file={path}", *labels)

    assert told("ConceptDrift", "page") == "training,pages"
    assert told("RealisedLoss", "page") == "training,pages"
    assert told("FeatureDrift", "ticket") == "tickets"


def test_without_a_key_the_training_server_is_shown_none(tmp_path: Path, secrets: Path) -> None:
    (secrets / "training_key").write_text("")
    settings = {"ALERT_TRAINING_URL": "http://t/alerts", "ALERT_TRAINING_KEY_FILE": str(secrets / "training_key")}
    _, config = config_of(tmp_path, **settings)
    assert "http_config" not in config["receivers"][-1]["webhook_configs"][0]


@pytest.mark.parametrize("alert", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_every_alert_goes_where_its_severity_says(alert: dict[str, Any]) -> None:
    severity = alert["labels"]["severity"]
    labels = (f"alertname={alert['alert']}", f"severity={severity}", "case=census")
    told = amtool("config", "routes", "test", f"--config.file={FOLDER / 'alertmanager.yml'}", *labels)
    assert told == {"page": "pages", "ticket": "tickets"}[severity]


def test_groups_are_of_one_alert_and_one_case() -> None:
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    assert config["route"]["group_by"] == ["alertname", "case"]
    assert not any("group_by" in route for route in config["route"]["routes"])


def test_what_mutes_and_is_muted_are_alerts_that_there_are() -> None:
    known = {rule["alert"] for rule in rules() if "alert" in rule}
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    matchers = [
        matcher.split(" ", 2)[2]
        for rule in config["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        if matcher.startswith("alertname")
    ]
    assert {name for names in matchers for name in names.split("|")} <= known


def test_a_monitor_that_is_gone_mutes_every_alert_of_what_it_said() -> None:
    monitoring = yaml.safe_load((FOLDER / "rules" / "monitoring.yml").read_text())
    alerts = {rule["alert"] for group in monitoring["groups"] for rule in group["rules"] if "alert" in rule}
    assert set(FROM_THE_MONITOR.split("|")) == alerts - {"MonitorAbsent"}


def test_alertmanager_mutes_and_waits_as_the_service_itself_does() -> None:
    assert set(FOLLOWS_CHECKS.split("|")) == {kind.name for kind in CATALOGUE if kind.follows_checks}
    route = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["route"]
    waits = [seconds(route[name]) for name in ("group_wait", "group_interval", "repeat_interval")]
    assert waits == [GROUP_WAIT_S, GROUP_INTERVAL_S, REPEAT_S]


def test_times_are_shortened_and_windows_still_hold_enough_scrapes() -> None:
    rule = {"expr": "rate(a[5m]) > 1 and rate(a[3d]) > 1", "for": "1m", "labels": {"for": "no time"}}
    short = scaled({"expr": rule["expr"], "for": rule["for"]}, 0.02, 0.5)
    assert short == {"expr": "rate(a[6000ms]) > 1 and rate(a[5184000ms]) > 1", "for": "1200ms"}
    assert scaled({"expr": "rate(a[1m])"}, 0.02, 0.5) == {"expr": "rate(a[2000ms])"}
    assert scaled({"group_wait": "10s", "repeat_interval": "4h"}, 0.02, 0.5) == {
        "group_wait": "200ms",
        "repeat_interval": "288000ms",
    }
    assert seconds(duration(1.5)) == 1.5


def test_everything_that_is_rendered_for_tests_is_valid(tmp_path: Path) -> None:
    part_or_skip("promtool")
    places = ("--target", "monitoring=127.0.0.1:8085", "--alertmanager", "127.0.0.1:9093")
    rendered("all", tmp_path, "--time-scale", "0.02", *places)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)
    main = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert [job["job_name"] for job in main["scrape_configs"]] == ["monitoring"]
    assert main["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
    assert "SUCCESS" in amtool("check-config", tmp_path / "alertmanager.yml")


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (("alertmanager",), {"ALERT_PAGES_TO": "pigeon"}, "ALERT_PAGES_TO"),
        (("all", "--target", "monitoring"), {}, "JOB=HOST:PORT"),
    ],
    ids=["a receiver that there is not", "a target without a job"],
)
def test_a_wrong_word_is_one_clear_line_and_writes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], named: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "prometheus.render", *arguments, str(tmp_path / "written")],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "written").exists()
