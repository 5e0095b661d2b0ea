"""One request until it is answered for good."""

from __future__ import annotations

import pytest
from generator_world import FakeClock, FakeServer

from stream_generator.sending.retrying import NoAnswerError, Patience, Sender, ServiceAnswer

BODY = b'{"record_id": "r-0"}'


def _sender(server: FakeServer, clock: FakeClock, total_s: float = 30.0) -> Sender:
    return Sender(server, clock, Patience(total_s=total_s))


@pytest.mark.parametrize(
    "trouble", [NoAnswerError("connection"), NoAnswerError("timeout"), ServiceAnswer(503, b""), ServiceAnswer(502, b"")]
)
def test_trouble_is_met_with_the_same_body_again(trouble: ServiceAnswer | NoAnswerError) -> None:
    server, clock = FakeServer([trouble, trouble]), FakeClock()
    assert _sender(server, clock).send("/predict", BODY).status == 200
    assert server.sent_to("/predict") == [{"record_id": "r-0"}] * 3


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 500])
def test_any_other_answer_is_final(status: int) -> None:
    server, clock = FakeServer([ServiceAnswer(status, b"")]), FakeClock()
    assert _sender(server, clock).send("/predict", BODY).status == status
    assert len(server.requests) == 1
    assert clock.waits == []


def test_retry_after_is_honoured() -> None:
    clock = FakeClock()
    _sender(FakeServer([ServiceAnswer(503, b"", retry_after_s=4.0)]), clock).send("/predict", BODY)
    assert 4.0 <= clock.waits[0] <= 4.1


def test_pauses_grow_up_to_a_bound() -> None:
    clock = FakeClock()
    _sender(FakeServer([NoAnswerError("connection")] * 12), clock).send("/predict", BODY)
    assert max(clock.waits[:3]) <= 0.2
    assert max(clock.waits) <= Patience().longest_pause_s


def test_patience_ends_with_the_last_reason() -> None:
    server, clock = FakeServer([NoAnswerError("connection"), *[ServiceAnswer(503, b"")] * 1000]), FakeClock()
    with pytest.raises(NoAnswerError) as raised:
        _sender(server, clock, total_s=5.0).send("/predict", BODY)
    assert raised.value.reason == "503"
    assert clock.now() - 1000.0 <= 5.0


def test_a_retry_after_beyond_the_patience_is_not_waited_for() -> None:
    clock = FakeClock()
    with pytest.raises(NoAnswerError):
        _sender(FakeServer([ServiceAnswer(503, b"", retry_after_s=60.0)]), clock).send("/predict", BODY)
    assert clock.waits == []


def test_time_spent_in_attempts_counts_against_the_patience() -> None:
    server, clock = FakeServer([NoAnswerError("timeout")] * 100), FakeClock()
    server.before_answer = lambda: setattr(clock, "time", clock.time + 10)
    with pytest.raises(NoAnswerError):
        _sender(server, clock, total_s=25.0).send("/predict", BODY)
    assert len(server.requests) <= 3


def test_a_stopped_run_does_not_try_again() -> None:
    server, clock = FakeServer([NoAnswerError("timeout")] * 2), FakeClock()
    clock.stop()
    with pytest.raises(NoAnswerError):
        _sender(server, clock).send("/predict", BODY)
    assert len(server.requests) == 1
