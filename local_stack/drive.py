"""The driver of ``make run``: waits for the services, sends the stream, and reconciles the counts.

Run as ``python -m local_stack.drive PID`` beside the services, which that process started; its limits are those of
:class:`.StackClock`. Exit code 0: all is well; 1: something is lost, doubled or unexplained, or a service fell silent.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from event_backbone.errors import StopError
from event_backbone.process.commands import run_command
from event_backbone.settings import ClientSettings, read_settings
from local_stack.children import child
from local_stack.documents import Counted, Document, GeneratorSummary, ReplicaStatusDocument, read_document
from local_stack.reconciliation import Check, reconcile
from local_stack.services import HttpProber, Prober, Service, UnreachableError, Watch, not_ready
from local_stack.settings import StackSettings
from local_stack.waiting import StackClock, StillWaitingError, WaitClock, poll_until

READY_WITHIN_S = 120.0
SETTLED_WITHIN_S = 120.0
LABEL_DELAY_S = 2.0
#: A run that takes so many times as long as its rate promises will not end well.
SLOWEST_FACTOR = 5.0
_SOME_FAILED = 1
_TABLE_WIDTH = 120
_STOPPED_BY_SIGTERM = 143


@dataclass(frozen=True, slots=True)
class Driver:
    """One run against services that are being started."""

    settings: StackSettings
    prober: Prober
    clock: WaitClock
    tell: Callable[[str], None]

    @property
    def services(self) -> tuple[Service, ...]:
        always = (
            Service("prediction-service", self.settings.prediction_url),
            Service("monitoring-service", self.settings.monitoring_url),
        )
        training = Service("train-model serve", self.settings.training_url)
        return (*always, training) if self.settings.retraining else always

    def run(self) -> int:
        """Return the exit code."""
        self._wait_until_ready()
        self._tell_urls()
        self._send()
        if self.settings.records is None:
            return 0
        self._wait_until_settled()
        return self._check(self.settings.records)

    def _wait_until_ready(self) -> None:
        try:
            poll_until(
                lambda: not_ready(self.services, self.prober),
                timeout_s=READY_WITHIN_S,
                clock=self.clock,
                tell=self.tell,
            )
        except StillWaitingError as error:
            raise StopError(f"gave up after {READY_WITHIN_S:g} s: {error}") from None

    def _tell_urls(self) -> None:
        prediction, monitoring = self.settings.prediction_url, self.settings.monitoring_url
        self.tell("everything is ready:")
        self.tell(f"  live page   {monitoring}/")
        self.tell(f"  web form    {prediction}/")
        self.tell(f"  API         {prediction}/docs")
        self.tell(f"  metrics     {prediction}/metrics  {monitoring}/metrics")

    def _send(self) -> None:
        """Run the generator; failed records are left to the check, anything worse ends the run."""
        watch = Watch(self.services, self.prober, self.clock)
        with child(generator_arguments(self.settings)) as generator:
            deadline = self.clock.now() + _longest_s(self.settings)
            while (code := generator.poll()) is None:
                watch.look()
                if self.clock.now() > deadline:
                    raise StopError(f"the stream was not through after {_longest_s(self.settings):.0f} s")
                self.clock.sleep(1.0)
        if code not in (0, _SOME_FAILED):
            raise StopError(f"stream-generator ended with {code}")

    def _wait_until_settled(self) -> None:
        """Until monitoring has counted and evaluated what the journal holds; what is missing then, the check names."""
        try:
            poll_until(
                lambda: unsettled(self._kept(), self._counted()),
                timeout_s=SETTLED_WITHIN_S,
                clock=self.clock,
                tell=self.tell,
            )
        except StillWaitingError as error:
            self.tell(f"gave up after {SETTLED_WITHIN_S:g} s: {error}")

    def _check(self, asked: int) -> int:
        sent = read_document(GeneratorSummary, self.settings.summary_path.read_bytes(), str(self.settings.summary_path))
        window_rows = self.settings.load_case().monitoring.window_rows
        enough = asked - sent.scenario.start_index >= window_rows
        checks = reconcile(asked, sent, self._kept(), self._counted(), enough_records=enough)
        print_checks(checks)
        faults = [check for check in checks if check.fault]
        for check in faults:
            self.tell(f"{check.fault}: {check.what}: expected {check.expected}, found {check.found}")
        self.tell(f"{'not ' if faults else ''}all is accounted for; the run's files are in {self.settings.kept_in}")
        return int(bool(faults))

    def _kept(self) -> ReplicaStatusDocument:
        return self._read(ReplicaStatusDocument, f"{self.settings.prediction_url}/status")

    def _counted(self) -> Counted:
        return self._read(Counted, f"{self.settings.monitoring_url}/api/state")

    def _read(self, kind: type[Document], url: str) -> Document:
        try:
            return read_document(kind, self.prober.get(url).body, url)
        except UnreachableError as error:
            raise StopError(f"{url}: {error}") from None


def unsettled(kept: ReplicaStatusDocument, counted: Counted) -> str | None:
    """What is still on its way; ``None`` when nothing is."""
    lag = sum(sink.lag for sink in kept.sinks.values())
    if lag:
        return f"{lag} rows of the journal are not delivered yet"
    wanted, found = kept.journal, counted.totals
    if found.predictions < wanted.predictions or found.labels < wanted.labels:
        return f"monitoring has counted {found.predictions} of {wanted.predictions} predictions, {found.labels} labels"
    if counted.next_check_row <= found.predictions:
        return f"monitoring has still to make the check that row {counted.next_check_row} made due"
    return None


def _longest_s(settings: StackSettings) -> float:
    if settings.records is None:
        return float("inf")
    return 120.0 + SLOWEST_FACTOR * settings.records / settings.records_per_s


def generator_arguments(settings: StackSettings) -> list[str]:
    """The command line of the generator, after ``python``."""
    options = {
        "--case": settings.case,
        "--url": settings.prediction_url,
        "--rate": f"{settings.records_per_s:g}",
        "--scenario": settings.scenario,
        "--seed": str(settings.stream_seed),
        "--label-delay": f"{LABEL_DELAY_S:g}",
        "--summary": str(settings.summary_path),
    }
    if settings.records is not None:
        options["--count"] = str(settings.records)
    return ["-m", "stream_generator", "send", *(word for pair in options.items() for word in pair)]


def print_checks(checks: list[Check]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table("check", "expected", "found", "", title="Is everything accounted for?", box=SIMPLE)
    table.columns[0].no_wrap = True
    for check in checks:
        table.add_row(
            check.what, check.expected, check.found, check.fault or "ok", style="red" if check.fault else None
        )
    # honcho reads our output through a pipe, which has no width of its own.
    Console(width=_TABLE_WIDTH, markup=False).print(table)


def drive() -> None:
    api_key = read_settings(ClientSettings).api_key
    prober = HttpProber(api_key=api_key.get_secret_value() if api_key else None)
    sys.exit(Driver(read_settings(StackSettings), prober, StackClock(int(sys.argv[1])), click.echo).run())


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED_BY_SIGTERM))
    run_command("driver", drive)


if __name__ == "__main__":
    main()
