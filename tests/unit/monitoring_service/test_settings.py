"""Settings and the lock of the one active process."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from event_backbone.errors import SettingsError
from event_backbone.settings import read_settings
from monitoring_service.__main__ import cli, main
from monitoring_service.lifecycle.instance_lock import InstanceLock
from monitoring_service.settings import MonitoringServiceSettings

CASES = Path(__file__).parents[3] / "cases"


def test_the_defaults_are_settings() -> None:
    settings = MonitoringServiceSettings()
    assert (settings.monitoring_host, settings.monitoring_port) == ("127.0.0.1", 8085)


def test_every_fault_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITORING_HOST", "0.0.0.0")
    monkeypatch.setenv("MONITORING_PORT", "0")
    monkeypatch.setenv("MONITORING_DURABILITY", "hope")
    with pytest.raises(SettingsError) as caught:
        read_settings(MonitoringServiceSettings)
    places = [fault.place for fault in caught.value.faults]
    assert places == ["MONITORING_HOST", "MONITORING_PORT", "MONITORING_DURABILITY"]
    assert "not a loopback address" in str(caught.value)


def test_wrong_settings_end_the_command_with_code_2_and_every_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITORING_HOST", "192.0.2.1")
    monkeypatch.setattr("sys.argv", ["monitoring-service"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "MONITORING_HOST" in capsys.readouterr().err


def test_the_webhooks_address_comes_from_a_secret_file_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "monitoring_webhook_url").write_text("https://hooks.example/token-of-ours")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    settings = read_settings(MonitoringServiceSettings)
    assert settings.monitoring_webhook_url is not None
    assert settings.monitoring_webhook_url.get_secret_value() == "https://hooks.example/token-of-ours"
    assert "token-of-ours" not in repr(settings)


def test_an_address_that_is_none_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITORING_WEBHOOK_URL", "slack://token-of-ours")
    with pytest.raises(SettingsError, match="begins with http") as caught:
        read_settings(MonitoringServiceSettings)
    assert "token-of-ours" not in str(caught.value)


def test_without_an_address_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITORING_WEBHOOK_URL", "")
    assert read_settings(MonitoringServiceSettings).monitoring_webhook_url is None


def test_the_help_has_examples() -> None:
    assert "CASE=housing" in CliRunner().invoke(cli, ["--help"]).output


def test_only_one_holds_the_lock_until_it_is_released(tmp_path: Path) -> None:
    first, second = InstanceLock(tmp_path / "run" / "lock"), InstanceLock(tmp_path / "run" / "lock")
    assert first.acquire()
    assert not second.acquire(patience_s=0)
    first.release()
    assert second.acquire(patience_s=0)
    second.release()


def test_a_folder_that_can_not_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="can't be made: not a directory"):
        InstanceLock(tmp_path / "file" / "run" / "lock").acquire()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1", "must be http or a URL that begins with kafka://"),
        ("kafka://127.0.0.1:99999", "a port is 1 to 65535"),
        ("kafka://someone:secret@127.0.0.1", "must not hold a login"),
    ],
)
def test_a_source_that_is_none_is_told_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("MONITORING_EVENTS", url)
    with pytest.raises(SettingsError) as caught:
        read_settings(MonitoringServiceSettings)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_login_that_lacks_its_password_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CASES_DIR", str(CASES))
    monkeypatch.setenv("MONITORING_EVENTS", "kafka://127.0.0.1:9/ns")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_USERNAME", "monitoring")
    monkeypatch.setattr("sys.argv", ["monitoring-service"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "KAFKA_PASSWORD: is needed with SASL_SSL" in capsys.readouterr().err


def test_events_come_over_http_unless_something_else_is_said() -> None:
    settings = MonitoringServiceSettings()
    assert (settings.monitoring_events, settings.kafka) == ("http", None)
