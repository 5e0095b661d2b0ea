"""The driver's waiting and watching, on a clock and a prober of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from event_backbone.errors import SettingsError, StopError
from local_stack.__main__ import check_ports, environment, run_folder
from local_stack.documents import Counted, ReplicaStatusDocument
from local_stack.drive import READY_WITHIN_S, Driver, generator_arguments, unsettled
from local_stack.services import SILENCE_ALLOWED_S, Reply, Service, UnreachableError, Watch, not_ready
from local_stack.settings import BOUNDED_RATE, ENDLESS_RATE, StackSettings
from local_stack.waiting import StackClock, StillWaitingError, poll_until

PREDICTION, MONITORING = Service("prediction", "http://p"), Service("monitoring", "http://m")


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeProber:
    """Every address answers 200 unless ``replies`` says otherwise."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | UnreachableError] = {}

    def get(self, url: str) -> Reply:
        reply = self.replies.get(url, Reply(200, b"{}"))
        if isinstance(reply, UnreachableError):
            raise reply
        return reply


@pytest.fixture
def prober() -> FakeProber:
    return FakeProber()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_the_clock_of_the_stack_goes_on_where_nothing_waits_for_a_core() -> None:
    clock = StackClock(os.getpid())
    before = clock.now()
    clock.sleep(0.3)
    assert before <= clock.now() <= 60.0


def _settings(**fields: object) -> StackSettings:
    return StackSettings.model_validate({"case": "census", "scenario": "sudden-shift", **fields})


def _nothing_told(_line: str) -> None: ...


def _after(calls: int) -> Callable[[], str | None]:
    left = iter(["something"] * calls)
    return lambda: next(left, None)


def test_polling_ends_when_nothing_is_missing(clock: FakeClock) -> None:
    poll_until(_after(3), timeout_s=10, clock=clock, tell=_nothing_told, every_s=0.5)
    assert clock.time == 1.5


def test_polling_ends_at_the_bound_with_what_is_missing(clock: FakeClock) -> None:
    with pytest.raises(StillWaitingError, match="something"):
        poll_until(_after(1000), timeout_s=10, clock=clock, tell=_nothing_told)
    assert clock.time == pytest.approx(10, abs=0.5)


def test_polling_tells_now_and_then_what_is_missing(clock: FakeClock) -> None:
    told: list[str] = []
    poll_until(_after(25), timeout_s=60, clock=clock, tell=told.append, every_s=0.5, tell_every_s=5)
    assert told == ["waiting: something"] * 2


def test_services_that_are_not_ready_are_named_with_their_reasons(prober: FakeProber) -> None:
    prober.replies["http://p/readyz"] = Reply(503, b'{"detail": "no model"}')
    prober.replies["http://m/readyz"] = UnreachableError("can't connect")
    fault = not_ready([PREDICTION, MONITORING], prober)
    assert fault == ('prediction is not ready: 503 {"detail": "no model"}; monitoring is not ready: can\'t connect')
    prober.replies.clear()
    assert not_ready([PREDICTION, MONITORING], prober) is None


def test_a_service_that_falls_silent_is_named(prober: FakeProber, clock: FakeClock) -> None:
    watch = Watch([PREDICTION, MONITORING], prober, clock)
    prober.replies["http://m/livez"] = UnreachableError("no answer within 5 s")
    clock.time = SILENCE_ALLOWED_S
    watch.look()
    clock.time += 1
    with pytest.raises(StopError, match="monitoring has not answered for 21 s: no answer within 5 s"):
        watch.look()


def test_a_service_that_was_slow_for_a_while_is_forgiven(prober: FakeProber, clock: FakeClock) -> None:
    watch = Watch([PREDICTION], prober, clock)
    for minute in range(10):
        clock.time = minute * 15.0
        prober.replies = {"http://p/livez": UnreachableError("slow")} if minute % 2 else {}
        watch.look()


def test_a_stack_that_never_gets_ready_is_given_up_with_the_reason(prober: FakeProber, clock: FakeClock) -> None:
    settings = _settings(records=10)
    prober.replies[f"{settings.monitoring_url}/readyz"] = Reply(503, b"starting")
    with pytest.raises(StopError, match="monitoring-service is not ready: 503 starting"):
        Driver(settings, prober, clock, _nothing_told).run()
    assert clock.time == pytest.approx(READY_WITHIN_S, abs=1)


def _said(kept: dict[str, int], lag: int, counted: dict[str, int], next_check_row: int) -> str | None:
    sinks = {"monitoring": {"lag": lag, "parked": 0}}
    totals = {"rejected_records": 0, "unmatched_labels": 0, **counted}
    return unsettled(
        msgspec.convert({"journal": {"rejections": 0, **kept}, "sinks": sinks}, ReplicaStatusDocument),
        msgspec.convert({"totals": totals, "episodes": [], "next_check_row": next_check_row}, Counted),
    )


def test_a_run_is_settled_when_all_is_delivered_counted_and_checked() -> None:
    ten, nine = {"predictions": 10, "labels": 10}, {"predictions": 10, "labels": 9}
    assert _said(ten, 0, ten, 50) is None
    assert "3 rows" in (_said(ten, 3, ten, 50) or "")
    assert "10 of 10 predictions, 9" in (_said(ten, 0, nine, 50) or "")
    assert "row 10" in (_said(ten, 0, ten, 10) or "")


def test_the_generator_is_told_what_make_run_was_told() -> None:
    arguments = generator_arguments(_settings(records=6000, seed=4, rate=120, scenario="unit-error", case="housing"))
    assert arguments[:3] == ["-m", "stream_generator", "send"]
    for option, value in {
        "--case": "housing",
        "--count": "6000",
        "--seed": "4",
        "--rate": "120",
        "--scenario": "unit-error",
    }.items():
        assert arguments[arguments.index(option) + 1] == value


def test_an_endless_run_has_no_count_and_a_rate_to_watch() -> None:
    settings = _settings()
    assert "--count" not in generator_arguments(settings)
    assert settings.records_per_s == ENDLESS_RATE
    assert _settings(records=10).records_per_s == BOUNDED_RATE


def test_runs_that_share_state_get_other_seeds_and_checked_ones_the_same() -> None:
    assert _settings(records=10).stream_seed == 0
    assert _settings(seed=3).stream_seed == 3
    assert len({_settings().stream_seed for _ in range(20)}) > 1


def test_empty_variables_count_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RECORDS", "RATE", "DATA_DIR", "SCENARIO", "SEED", "CASE", "RETRAINING"):
        monkeypatch.setenv(name, "")
    settings = StackSettings()
    assert (settings.records, settings.rate, settings.data_dir) == (None, None, None)
    assert (settings.scenario, settings.seed, settings.case) == ("sudden-shift", None, "census")


def test_the_training_server_is_one_of_the_services_only_when_it_is_asked_for(
    prober: FakeProber, clock: FakeClock
) -> None:
    without, asked_for = _settings(), _settings(retraining="on", training_port=8091)
    names = [
        [one.name for one in Driver(settings, prober, clock, _nothing_told).services]
        for settings in (without, asked_for)
    ]
    assert names == [
        ["prediction-service", "monitoring-service"],
        ["prediction-service", "monitoring-service", "train-model serve"],
    ]
    assert "TRAINING_URL" not in environment(without)
    told = environment(asked_for)
    assert (told["TRAINING_URL"], told["RETRAIN_ON_ALERTS"]) == ("http://127.0.0.1:8091", "true")


def test_a_run_to_be_checked_gets_a_fresh_folder_and_an_endless_one_goes_on() -> None:
    folder = run_folder(_settings(records=10))
    assert folder is not None
    assert folder.parent == Path("var/census/runs")
    assert folder.name.endswith(f"-{os.getpid()}")
    assert run_folder(_settings()) is None
    assert run_folder(_settings(records=10, run_dir=Path("mine"))) == Path("mine")


def test_a_run_to_be_checked_does_not_begin_in_another_runs_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"RUN_DIR: .* is there already"):
        run_folder(_settings(records=10, run_dir=tmp_path))
    assert run_folder(_settings(run_dir=tmp_path)) == tmp_path


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"{port}: can't listen"):
            check_ports(_settings(prediction_port=port, monitoring_port=port), patience_s=0)
