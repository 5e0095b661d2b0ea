"""With a proxy in the environment our processes still find each other, and the proxy learns nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from answering_server import AnsweringServer
from recording_proxy import RecordingProxy

from event_backbone.events.schema import Envelope, Erasure
from event_backbone.web.http_client import own_client
from local_stack.services import HttpProber
from monitoring_service.alerting.training_client import HttpTrainingServer
from monitoring_service.alerting.webhook import NotTakenError
from monitoring_service.bootstrap import webhook_to
from prediction_service.delivery.http_sink import HttpSink
from prediction_service.operations.erasure import ReplicaErasure
from stream_generator.books.monitoring_count import MonitoringCount
from stream_generator.checking.stores import ReplicaStore
from stream_generator.sending.http_transport import KeepAliveHttp
from stream_generator.sending.pacing import StoppableClock
from stream_generator.sending.retrying import Patience, Persistence

ERASURE = Erasure("r1", "shop", "2026-01-01T00:00:00Z")
CALLS: dict[str, Callable[[str], object]] = {
    "POST /events": lambda url: HttpSink(url, timeout_s=5).deliver([Envelope("test", 1, ERASURE)]),
    "DELETE /predictions/r1": lambda url: ReplicaErasure(url, api_key=None, timeout_s=5).erase([ERASURE]),
    "GET /train": lambda url: HttpTrainingServer(url).status(),
    "POST /alerts": lambda url: HttpTrainingServer(url).notify(b"{}"),
    "POST /hook": lambda url: webhook_to(f"{url}/hook", None).send(b"{}"),
    "GET /api/state": lambda url: MonitoringCount(url, api_key=None, timeout_s=5).predictions(),
    "POST /predictions/erase": lambda url: replica_store(url).erase(["r1"]),
    "GET /livez": lambda url: HttpProber().get(f"{url}/livez"),
    "POST /predict": lambda url: KeepAliveHttp(url, timeout_s=5).post("/predict", b"{}"),
}
ANSWERS = {
    **dict.fromkeys(CALLS, b"{}"),
    "POST /events": b'{"refused":[]}',
    "DELETE /predictions/r1": b'{"rows_erased":0}',
    "GET /train": b'{"runs":[]}',
    "GET /api/state": b'{"totals":{"predictions":1}}',
    "POST /predictions/erase": b'{"not_erased":[]}',
}


def replica_store(url: str) -> ReplicaStore:
    """What `stream-generator check` asks."""
    return ReplicaStore(url, own_client(timeout_s=5), Persistence(StoppableClock(), Patience(total_s=5)))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    proxy = RecordingProxy()
    proxy.stands_before_everything(monkeypatch)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("asked", CALLS)
def test_a_service_of_ours_is_called_past_the_proxy(asked: str, proxy: RecordingProxy) -> None:
    server = AnsweringServer(ANSWERS)
    CALLS[asked](server.url)
    server.close()
    assert (server.lines, proxy.asked) == ([asked], [])


def test_a_webhook_outside_is_told_through_the_proxy(proxy: RecordingProxy) -> None:
    with pytest.raises(NotTakenError):
        webhook_to("http://hooks.invalid/alerts?token=secret", "http://training.invalid:8090").send(b"{}")
    assert proxy.asked == [b"POST http://hooks.invalid/alerts?token=secret HTTP/1.1"]


def test_a_webhook_that_is_the_training_server_is_told_past_the_proxy(
    proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = AnsweringServer(ANSWERS)
    url = server.url_as("training.invalid", monkeypatch)
    webhook_to(f"{url}/alerts".replace("training", "Training"), f"{url}/").send(b"{}")
    server.close()
    assert (server.lines, proxy.asked) == (["POST /alerts"], [])


def test_a_replica_is_named_without_its_login() -> None:
    assert (
        ReplicaErasure("http://ada:hush@replica:9696", api_key=None, timeout_s=5).name == "replica http://replica:9696"
    )
