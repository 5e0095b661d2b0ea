"""The command ``check``: books, the stores that are asked, the verdict, and erasure at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
from msgspec import Struct

from event_backbone.errors import Fault, SettingsError
from event_backbone.formats.visible_text import visible
from event_backbone.web.http_client import own_client
from stream_generator.books.file import Books, read_books
from stream_generator.books.monitoring_count import MonitoringCount
from stream_generator.bootstrap import monitoring_count, persistence
from stream_generator.checking.comparing import CountFinding, StoreComparison, StoreFinding
from stream_generator.checking.stores import CheckedStore, RecordedStore, ReplicaStore
from stream_generator.commands.summary import write_summary
from stream_generator.recording.port import Period, Recording
from stream_generator.recording.sources import RecordingOptions, open_recording
from stream_generator.sending.pacing import Clock, StoppableClock
from stream_generator.settings import GeneratorSettings

#: Behind every time that a log can hold: what a wrong clock dated ahead is found as well.
_NO_END = "9999-12-31T23:59:59.999999Z"
_LOOK_AGAIN_S = 1.0
_MOST_NAMED = 20


class CheckReport(Struct, frozen=True):
    """What ``--report`` writes."""

    case: str
    runs: list[str]
    sent: int
    answered: int
    torn_lines: int
    stores: list[StoreFinding]
    monitoring: CountFinding | None
    is_well: bool
    erased: int | None = None
    not_erased: list[str] = []


@dataclass(frozen=True)
class CheckCommand:
    """``check``. ``within_s``: records that are on their way may take so long."""

    settings: GeneratorSettings
    books_path: Path
    store_urls: Sequence[str]
    monitoring_url: str | None
    within_s: float
    erase: bool
    report_path: Path | None
    clock: Clock

    def execute(self) -> int:
        """Print the findings, and erase where that is asked for; return the exit code.

        Raises:
            SettingsError: no books, or a URL that is no store.
            TryAgainLaterError: a store stays away.
        """
        books = read_books(self.books_path, self.settings.case)
        stores = [self._store(url) for url in self.store_urls or [self.settings.prediction_url]]
        replicas = [store for store in stores if isinstance(store, ReplicaStore)]
        if self.erase and not replicas:
            raise SettingsError("check", [Fault("--erase", "store", "name the replicas, http://…, to erase at")])
        count = None if self.monitoring_url is None else self._counted_before(books)
        deadline = self.clock.now() + self.within_s
        findings = [self._compare(store, books, deadline) for store in stores]
        counted = None if count is None else self._count(*count, books, deadline)
        erased, left = self._erase(replicas, stores, books) if self.erase else (None, [])
        report = CheckReport(
            case=self.settings.case,
            runs=[run.run_id for run in books.runs],
            sent=len(books.records),
            answered=books.answered,
            torn_lines=books.torn_lines,
            stores=findings,
            monitoring=counted,
            is_well=all(finding.is_well for finding in findings) and (counted is None or counted.is_well) and not left,
            erased=erased,
            not_erased=left,
        )
        for line in report_lines(report):
            click.echo(visible(line))  # a service's words may be in it
        if self.report_path is not None:
            write_summary(report, self.report_path)
        return int(not report.is_well)

    def _store(self, url: str) -> CheckedStore:
        settings = self.settings
        retries = persistence(settings, self.clock)
        if url.startswith(("http://", "https://")):
            key = settings.api_key
            client = own_client(
                timeout_s=settings.request_timeout_s, api_key=None if key is None else key.get_secret_value()
            )
            return ReplicaStore(url, client, retries)

        def open_period(period: Period) -> Recording:
            return open_recording(url, RecordingOptions(settings, period, _NO_END, retries, with_labels=False))

        return RecordedStore(url, open_period)

    def _compare(self, store: CheckedStore, books: Books, deadline: float) -> StoreFinding:
        """Look again while something is missing, and at the end everywhere."""
        while True:
            comparison = self._look(store, books, everywhere=False)
            if not comparison.missing():
                return comparison.finding()
            if self.clock.now() >= deadline or self.clock.wait(_LOOK_AGAIN_S):
                return self._look(store, books, everywhere=True).finding()

    def _look(self, store: CheckedStore, books: Books, *, everywhere: bool) -> StoreComparison:
        comparison = StoreComparison(store.name, books, may_repeat=store.may_repeat)
        comparison.take(store.find(books, everywhere=everywhere))
        return comparison

    def _counted_before(self, books: Books) -> tuple[MonitoringCount, int]:
        assert self.monitoring_url is not None
        before = books.runs[0].counted_before
        if before is None:
            message = "the books don't say what it had counted before: send with --monitoring"
            raise SettingsError(str(self.books_path), [Fault("--monitoring", "books", message)])
        return monitoring_count(self.monitoring_url, self.settings), before

    def _count(self, count: MonitoringCount, before: int, books: Books, deadline: float) -> CountFinding:
        retries = persistence(self.settings, self.clock)
        while True:
            counted = retries.until_done(count.predictions) - before
            finding = CountFinding(count.name, counted, books.answered, len(books.records))
            if finding.fault != "lost" or self.clock.now() >= deadline or self.clock.wait(_LOOK_AGAIN_S):
                return finding

    def _erase(
        self, replicas: Sequence[ReplicaStore], stores: Sequence[CheckedStore], books: Books
    ) -> tuple[int, list[str]]:
        """How many were erased at every replica, and what is left where: a topic keeps what compaction takes later."""
        ids = list(books.records)
        left = [f"{replica.name}: {reason}" for replica in replicas for reason in replica.erase(ids)]
        deadline = self.clock.now() + self.within_s
        for store in stores:
            if not store.may_repeat and (kept := self._left_in(store, books, deadline)):
                left.append(f"{store.name}: {kept:,} still there")
        return len(ids), left

    def _left_in(self, store: CheckedStore, books: Books, deadline: float) -> int:
        while True:
            kept = self._look(store, books, everywhere=False).found()
            if not kept or self.clock.now() >= deadline or self.clock.wait(_LOOK_AGAIN_S):
                return kept


def check_command(
    settings: GeneratorSettings,
    books_path: Path,
    store_urls: Sequence[str],
    *,
    monitoring_url: str | None,
    within_s: float,
    erase: bool,
    report_path: Path | None,
) -> CheckCommand:
    """On the machine's clock."""
    clock = StoppableClock()
    return CheckCommand(settings, books_path, store_urls, monitoring_url, within_s, erase, report_path, clock)


def report_lines(report: CheckReport) -> Iterator[str]:
    """The report for people."""
    torn = f", {report.torn_lines} torn lines" if report.torn_lines else ""
    runs = f"{len(report.runs)} run{'s' if len(report.runs) > 1 else ''}"
    yield f"books      {report.sent:,} sent, {report.answered:,} answered, in {runs}{torn}"
    for finding in report.stores:
        yield f"store      {finding.store}: {_in_words(finding)}"
        for what in ("lost", "doubled", "differing"):
            if ids := getattr(finding, what):
                yield f"{what:<11}{_named(ids)}"
    if report.monitoring is not None:
        counted = report.monitoring
        expected = (
            f"{counted.answered:,}" if counted.sent == counted.answered else f"{counted.answered:,} to {counted.sent:,}"
        )
        yield f"monitoring {counted.store}: counted {counted.counted:,}, expected {expected}" + (
            f": {counted.fault}" if counted.fault else ""
        )
    if report.erased is not None:
        yield f"erased     {report.erased:,}" + ("" if report.not_erased else "; nothing of them is left")
    for one in islice(report.not_erased, _MOST_NAMED):
        yield f"not erased {one}"
    yield "verdict    " + ("all is accounted for" if report.is_well else "not all is accounted for")


def _in_words(finding: StoreFinding) -> str:
    lost, doubled, differing = len(finding.lost), len(finding.doubled), len(finding.differing)
    more = [f"{finding.repeated:,} copies with the same content"] if finding.repeated else []
    more += [f"{finding.unanswered:,} of them without an answer"] if finding.unanswered else []
    return ", ".join(
        [f"{finding.kept:,} kept", f"{lost:,} lost", f"{doubled:,} doubled", f"{differing:,} differing", *more]
    )


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - _MOST_NAMED
    return ", ".join(ids[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
