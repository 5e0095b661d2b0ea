"""Addresses of brokers, and the login."""

from __future__ import annotations

import pytest

from event_backbone.errors import SettingsError
from event_backbone.kafka.access import faults_in_kafka_url, kafka_access
from event_backbone.settings import ConnectionSettings


def test_a_url_names_brokers_and_a_namespace() -> None:
    access = kafka_access("kafka://a:1,b,[::1]:3/staging", ConnectionSettings())
    assert access.servers == ("a:1", "b:9092", "[::1]:3")
    assert access.namespace == "staging"
    assert access.shown == "kafka://a:1,b:9092,[::1]:3/staging"
    assert kafka_access("kafka://a:1/", ConnectionSettings()).namespace is None


@pytest.mark.parametrize(
    ("url", "reasons"),
    [
        ("http://a", ["scheme"]),
        ("kafka://", ["host"]),
        ("kafka://a:1,,b c:1,d:0,e:99999", ["host", "host", "port", "port"]),
        ("kafka://name:secret@a:1", ["login"]),
        ("kafka://a:1/x y", ["namespace"]),
        ("kafka://a:1/x/y", ["namespace"]),
        ("kafka://a:1/x?acks=0", ["options"]),
    ],
)
def test_all_faults_of_a_url_are_named(url: str, reasons: list[str]) -> None:
    faults = faults_in_kafka_url(url, place="SINKS[0]")
    assert [fault.reason for fault in faults] == reasons
    assert "secret" not in str(faults)


def test_faults_of_url_and_login_are_named_together_without_the_password() -> None:
    settings = ConnectionSettings(
        kafka_security_protocol="SASL_SSL", kafka_password="hush", kafka_tls_ca_file="/nowhere/ca.pem"
    )
    with pytest.raises(SettingsError) as error:
        kafka_access("kafka://a:0", settings)
    assert [fault.place for fault in error.value.faults] == ["KAFKA_URL", "KAFKA_USERNAME", "KAFKA_TLS_CA_FILE"]
    assert "hush" not in str(error.value)


def test_the_login_is_given_to_the_client_and_never_shown() -> None:
    settings = ConnectionSettings(kafka_security_protocol="SASL_PLAINTEXT", kafka_username="ada", kafka_password="hush")
    access = kafka_access("kafka://a:1", settings)
    assert access.client_options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert access.client_options["sasl_plain_password"] == "hush"
    assert "hush" not in repr(access)
