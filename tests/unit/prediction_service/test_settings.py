"""Settings from the environment; what is wrong with them is listed at once."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from prediction_world import made_case

from event_backbone.errors import SettingsError
from event_backbone.ports import Sink
from event_backbone.settings import ConnectionSettings, read_settings, split_urls
from prediction_service import __main__ as command
from prediction_service.delivery.http_sink import HttpSink
from prediction_service.delivery.kafka_sink import KafkaSink
from prediction_service.delivery.sinks import open_sinks
from prediction_service.settings import ServingSettings, SidecarSettings


def faults_with(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as wrong:
        read_settings(ServingSettings)
    return {fault.place: fault.message for fault in wrong.value.faults}


def test_without_any_setting_it_listens_on_loopback() -> None:
    settings = read_settings(ServingSettings)
    assert (settings.prediction_host, settings.prediction_port, settings.durability) == ("127.0.0.1", 9696, "process")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_an_address_others_can_reach_is_refused(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert "is not a loopback address" in faults_with(monkeypatch, PREDICTION_HOST=host)["PREDICTION_HOST"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_loopback_address_is_taken(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PREDICTION_HOST", host)
    assert read_settings(ServingSettings).prediction_host == host


def test_all_faults_are_listed_at_once_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = faults_with(
        monkeypatch,
        PREDICTION_HOST="0.0.0.0",
        PREDICTION_PORT="many",
        DURABILITY="eternal",
        MAX_IN_FLIGHT="0",
        LOG_LEVEL="LOUD",
    )
    assert set(faults) == {"PREDICTION_HOST", "PREDICTION_PORT", "DURABILITY", "MAX_IN_FLIGHT", "LOG_LEVEL"}


def test_sinks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINKS", " http://a:1 ,, https://b:2 ")
    assert read_settings(SidecarSettings).sinks == ["http://a:1", "https://b:2"]
    monkeypatch.setenv("SINKS", "")
    assert read_settings(SidecarSettings).sinks == []


@pytest.mark.parametrize("between", [",", ", ", " ,, , ", "," * 200_000])
def test_commas_stand_between_urls_and_inside_them(between: str) -> None:
    assert split_urls(f",kafka://a:1,b{between}http://c") == ["kafka://a:1,b", "http://c"]
    assert split_urls(f"kafka://a:1{between}b") == [f"kafka://a:1{between}b"]


def sinks_of(*urls: str) -> list[Sink]:
    return open_sinks(urls, made_case(), ConnectionSettings(), timeout_s=1)


def test_a_kafka_url_is_a_sink_that_needs_no_broker_to_be_made() -> None:
    (sink,) = sinks_of("kafka://127.0.0.1:1/staging")
    assert isinstance(sink, KafkaSink)
    assert sink.name == "kafka"
    sink.close()


@pytest.mark.parametrize("url", ["http://ada:hush@", "kafka://ada:hush@a", "ftp://ada:hush@a"])
def test_a_login_in_a_url_is_never_shown(url: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        sinks_of(url)
    assert "hush" not in str(wrong.value)


def test_every_sink_nobody_can_reach_is_named() -> None:
    with pytest.raises(SettingsError) as wrong:
        sinks_of("ftp://a", "http://", "http://[::1", "b", "http://c", "kafka://d:0/a b")
    assert [(fault.place, fault.reason) for fault in wrong.value.faults] == [
        ("SINKS[0]", "scheme"),
        ("SINKS[1]", "url"),
        ("SINKS[2]", "url"),
        ("SINKS[3]", "scheme"),
        ("SINKS[5]", "port"),
        ("SINKS[5]", "namespace"),
    ]


def test_two_sinks_of_one_name_are_refused_because_they_would_share_a_cursor() -> None:
    with pytest.raises(SettingsError, match="a second sink called 'monitoring'"):
        sinks_of("http://a", "http://b")


def test_an_http_url_is_a_monitoring_service() -> None:
    (sink,) = sinks_of("http://127.0.0.1:8085/")
    assert isinstance(sink, HttpSink)
    assert sink.name == "monitoring"
    sink.close()


# The commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["sidecar"]])
def test_each_command_has_help_with_an_example(arguments: list[str]) -> None:
    shown = CliRunner().invoke(command.cli, [*arguments, "--help"])
    assert shown.exit_code == 0
    assert "prediction-service" in shown.output
    assert "Example" in shown.output


@pytest.mark.parametrize("arguments", [[], ["sidecar"]])
def test_wrong_settings_end_a_command_with_2_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setenv("CASE", "unknown")
    monkeypatch.setattr("sys.argv", ["prediction-service", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert "no such case" in shown
    assert "Traceback" not in shown
