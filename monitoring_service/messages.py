"""What was measured of a window, and the messages between the service and its evaluator process."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from monitoring_service.windows.columns import PackedColumn

ColumnState = Literal["ok", "insufficient", "invalid"]
ReferenceState = Literal["ok", "missing", "broken"]
#: Why a report is made: a person asked, a condition began to hold, or it was time.
ReportKind = Literal["demand", "alert", "schedule"]


class Labelled(Struct, frozen=True):
    """Rows whose label is known, of one model version; all lists have one length.

    ``segments`` holds the values of each column that performance is split by; ``None`` belongs to no segment.
    """

    scores: list[float] = []
    predictions: list[str | float] = []
    labels: list[str | float] = []
    segments: dict[str, list[str | None]] = {}

    def part(self, first: int, last: int | None = None) -> Labelled:
        """The rows from ``first`` to before ``last``."""
        segments = {name: values[first:last] for name, values in self.segments.items()}
        return Labelled(self.scores[first:last], self.predictions[first:last], self.labels[first:last], segments)


class Window(Struct, frozen=True):
    """The rows to judge, by column.

    ``scores`` and ``predictions`` are the bytes of 64-bit floats; a prediction is 1 for the positive class and 0 for
    the other, or the predicted value. They are those of the newest model version only, so perhaps fewer than ``rows``.
    The reference is the bundle's own, or the accepted one that ``accepted_sha256`` names.
    """

    row: int
    rows: int
    bundle_sha256: str
    columns: dict[str, PackedColumn]
    scores: bytes
    predictions: bytes
    accepted_sha256: str | None = None


class Start(Struct, frozen=True):
    """The first frame to an evaluator, answered with :class:`Ready` once its libraries are there; ``case`` is JSON."""

    parent_pid: int
    case: bytes
    bundles_dir: str
    accepted_dir: str
    reports_dir: str
    reports_kept: int
    reports_kept_s: float
    report_within_s: float


class Ready(Struct, frozen=True):
    """The evaluator can be asked."""

    pid: int


class ScoreWindow(Struct, frozen=True, tag=True):
    """Compute Evidently's scores of these columns, and of the predictions if ``predictions`` says so.

    Answered with :class:`WindowScores`. They cost more than everything that a check measures, and decide nothing.
    """

    window: Window
    columns: list[str]
    predictions: bool


class MakeReport(Struct, frozen=True, tag=True):
    """Write a report about this window into the reports folder, beside the evaluations that follow.

    Answered at once with :class:`ReportState`.
    """

    window: Window
    labelled: Labelled
    kind: ReportKind = "schedule"


class MeasurePerformance(Struct, frozen=True):
    """Measure one model version's performance, by its newest labelled rows and by its rows in the window.

    ``labelled`` is newest first, and ``older`` are those before: so many that earlier windows are as large. ``scores``
    and ``predictions`` of the window are as in :class:`Window`, ``labelled_in_window`` says how many of them have a
    label. What comes of it is a :class:`Performance`.
    """

    bundle_sha256: str
    labelled: Labelled
    scores: bytes = b""
    predictions: bytes = b""
    labelled_in_window: int = 0
    accepted_sha256: str | None = None
    older: Labelled = Labelled()


class AskReports(Struct, frozen=True, tag=True):
    """Follow the report that is being made; answered with :class:`ReportState`."""


class ColumnMeasure(Struct, frozen=True):
    """The measures of one column in one window.

    ``score`` is Evidently's, by ``method``. ``p_value`` and ``effect`` are those of ``column_drift``, not yet
    adjusted for the number of columns; ``moved`` says what they are about: the values themselves, or whether there are
    any. Shares are of all rows. ``None`` is "not measured"; ``reason`` says why ``state`` is not ``ok``.
    """

    name: str
    state: ColumnState
    reason: str | None = None
    score: float | None = None
    method: str | None = None
    effect: float | None = None
    p_value: float | None = None
    missing_share: float | None = None
    unseen_share: float | None = None
    out_of_range_share: float | None = None
    reference_missing_share: float | None = None
    moved: Literal["values", "missing"] | None = None


class PredictionMix(Struct, frozen=True):
    """Distribution of predictions: the share of each class, or the mean and quartiles of the predicted value."""

    window: dict[str, float]
    reference: dict[str, float]


class ReportState(Struct, frozen=True, tag=True):
    """Outcomes of reports since the evaluator started."""

    running: bool = False
    made: int = 0
    failed: int = 0


class MetricValue(Struct, frozen=True):
    """A metric's value and its 95 % interval; no interval where none is known."""

    value: float
    low: float | None = None
    high: float | None = None


class SegmentPerformance(Struct, frozen=True):
    """Realised metrics of the rows with one value in a segment's column."""

    column: str
    value: str
    labelled_rows: int
    metric_values: dict[str, MetricValue] = field(name="figures")


class Performance(Struct, frozen=True, tag="Quality"):
    """How well one model version predicts; a metric that is not defined, or has too few rows, is left out.

    ``metric_values`` are realised, over the ``labelled_rows`` newest labelled rows; ``estimated`` needs no label and is
    about the ``rows`` of this version in the window; ``reference`` is what the bundle's own reference rows gave.
    ``gap`` is by how much the realised primary metric is worse than what was estimated for the same labelled rows (in
    the unit of a case file's limits), ``target`` how their labels differ from the reference's. ``labelled_share`` is
    the share of the window's rows whose label is known. ``reference_rows`` is how many labelled rows ``reference`` is
    from, 0 where nobody knows.

    ``earlier`` is what conditions need of the same with fewer rows, newest first: without the newest rows of one check,
    of two, and so on, until there are as many statements as a verdict asks for checks in a row.
    """

    rows: int = 0
    labelled_rows: int = 0
    labelled_share: float | None = None
    metric_values: dict[str, MetricValue] = field(name="figures", default_factory=dict)
    estimated: dict[str, MetricValue] = {}
    gap: dict[str, MetricValue] = {}
    reference: dict[str, float] = {}
    segments: list[SegmentPerformance] = []
    target: ColumnMeasure | None = None
    reference_rows: int = 0
    earlier: list[Performance] = []


class WindowMeasures(Struct, frozen=True):
    """The measures of one window; ``reference_id`` says what the columns were compared with, ``None`` with nothing."""

    row: int
    reference: ReferenceState
    reference_fault: str | None
    columns: list[ColumnMeasure]
    prediction: ColumnMeasure
    mix: PredictionMix
    reference_id: str | None = None


class ColumnScore(Struct, frozen=True):
    """Evidently's drift score of one column and the method it chose; ``None`` where there is none."""

    name: str
    score: float | None = None
    method: str | None = None


class WindowScores(Struct, frozen=True, tag=True):
    """Evidently's scores of one window, in the order that was asked for; ``prediction`` if it was asked for."""

    row: int
    columns: list[ColumnScore]
    prediction: ColumnScore | None = None


class Failed(Struct, frozen=True, tag=True):
    """This request could not be answered; the next one can."""

    reason: str


Request = ScoreWindow | MakeReport | AskReports
Answer = WindowScores | ReportState | Failed
