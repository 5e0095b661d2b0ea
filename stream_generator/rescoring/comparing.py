"""The command ``replay --model``: a recording, a model version, and the report of their difference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import Prediction, utc_now
from event_backbone.model.bundle import BundleStore
from stream_generator.bootstrap import open_keeping, open_registry, persistence
from stream_generator.commands.options import ReplayOptions
from stream_generator.commands.progress import progress_display
from stream_generator.commands.summary import write_summary
from stream_generator.recording.port import Recording
from stream_generator.recording.sources import RecordingOptions, open_recording, source_name
from stream_generator.rescoring.difference import DifferenceReport, ScoreDifference, SegmentDifference, Shift
from stream_generator.rescoring.rescorer import Rescorer, open_version
from stream_generator.sending.pacing import StoppableClock
from stream_generator.settings import GeneratorSettings

#: Segments that people are shown; ``--summary`` has all of them.
_SEGMENTS_SHOWN = 10


@dataclass(frozen=True)
class RescoringCommand:
    """``replay --model``: scores a recording with another version, and reports the differences."""

    settings: GeneratorSettings
    options: ReplayOptions
    version: str
    keep_url: str | None
    summary_path: Path | None

    def execute(self) -> int:
        """Print the report and write it where asked; return the exit code.

        Raises:
            SettingsError: no such version, or the source is no recording of scores of this case.
        """
        settings = self.settings
        model = open_version(
            self.version, settings.load_case(), BundleStore(settings.bundles_dir), open_registry(settings)
        )
        clock = StoppableClock()
        with contextlib.closing(self._open(clock)) as recording, self._keeping(clock) as keeping:
            rescorer = Rescorer(model, keeping)
            self._go_through(rescorer, recording, clock)
        scorer, name = model.scorer, source_name(self.options.source, self.options.topic)
        report = rescorer.differences.report(name, scorer.model, scorer.bundle_sha256, rescorer.kept)
        self._tell(report)
        return 0

    def _go_through(self, rescorer: Rescorer, recording: Recording, clock: StoppableClock) -> None:
        total = recording.count()
        if not total:
            raise SettingsError(
                source_name(self.options.source, self.options.topic),
                [Fault("--from", "empty", "holds no prediction of that time")],
            )
        with progress_display(total, clock) as progress:
            for done in rescorer.rescore(recording.items()):
                progress.show(done, "scored again")

    def _open(self, clock: StoppableClock) -> Recording:
        retries = persistence(self.settings, clock)
        wanted = RecordingOptions(
            self.settings, self.options.period, utc_now(), retries, with_labels=False, topic=self.options.topic
        )
        return open_recording(self.options.source, wanted)

    @contextlib.contextmanager
    def _keeping(self, clock: StoppableClock) -> Iterator[Callable[[Sequence[Prediction]], int] | None]:
        if self.keep_url is None:
            yield None
            return
        retries = persistence(self.settings, clock)
        with contextlib.closing(open_keeping(self.keep_url, self.settings)) as kept:
            yield lambda predictions: retries.until_done(lambda: kept.keep(predictions))

    def _tell(self, report: DifferenceReport) -> None:
        for line in report_lines(report):
            click.echo(line)
        if self.summary_path is not None:
            write_summary(report, self.summary_path)


def report_lines(report: DifferenceReport) -> Iterator[str]:
    """The report for people: the segments whose scores moved most, and everything else whole."""
    model, overall = report.model, report.overall
    yield f"model      {model.name} {model.version}, bundle {report.bundle_sha256[:12]}"
    yield f"records    {overall.records} of {report.source}"
    yield from _difference_lines(overall)
    for version in report.by_version:
        recorded = version.model
        yield f"version    {recorded.name} {recorded.version}: {_in_short(version.difference)}"
    moved = sorted(report.by_segment, key=_size, reverse=True)
    for segment in moved[:_SEGMENTS_SHOWN]:
        yield f"segment    {segment.column} {segment.value}: {_in_short(segment.difference)}"
    if len(moved) > _SEGMENTS_SHOWN:
        yield f"           and {len(moved) - _SEGMENTS_SHOWN} segments that moved less"
    for reason, number in report.not_scored.items():
        yield f"not scored {number} with {reason}"
    if report.kept is not None:
        yield f"kept       {report.kept}"


def _size(segment: SegmentDifference) -> tuple[float, float]:
    difference = segment.difference
    flipped = difference.flips.share if difference.flips is not None else None
    return flipped or 0.0, difference.shift.mean_absolute or 0.0


def _difference_lines(difference: ScoreDifference) -> Iterator[str]:
    if difference.flips is not None:
        flips = difference.flips
        directions = "".join(f", {number} {direction}" for direction, number in flips.directions.items())
        yield f"flipped    {flips.count} ({_percent(flips.share)}){directions}"
    yield f"shift      {_in_words(difference.shift)}"
    if difference.relative is not None:
        yield f"relative   {_in_words(difference.relative)}"


def _in_words(shift: Shift) -> str:
    if shift.mean is None:
        return "-"
    quantiles = "".join(f", {name} {size:.3g}" for name, size in (shift.quantiles or {}).items() if size is not None)
    return f"mean {shift.mean:+.3g}, mean size {shift.mean_absolute:.3g}{quantiles}, max {shift.max:.3g}"


def _in_short(difference: ScoreDifference) -> str:
    shift, flips = difference.shift, difference.flips
    flipped = "" if flips is None else f", {flips.count} flipped ({_percent(flips.share)})"
    moved = "" if shift.mean is None else f", shift mean {shift.mean:+.3g}, mean size {shift.mean_absolute:.3g}"
    return f"{difference.records} records{flipped}{moved}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"
