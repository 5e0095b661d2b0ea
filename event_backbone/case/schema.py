"""The schema of a case file: records, target, data, monitoring, promotion and training of one case.

Everything that depends on columns (validator, web form, OpenAPI, encoder, monitoring, synthetic sample) is derived from
a :class:`Case`, so no other code names a column.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=400)]
#: Of rows: what is larger is a slip, and no arithmetic with floats takes it.
LARGEST_COUNT = 10**12


def is_finite(value: float) -> bool:
    """Whether a number, however many digits it has, is one that a 64-bit float holds."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Limits(_Part):
    """Smallest and largest value, both allowed."""

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self

    def contain(self, value: float) -> bool:
        return not (
            (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum)
        )


class ValidValues(Limits):
    """Hard limits: a value outside is refused."""

    max_length: int = Field(default=64, ge=1, le=1000, description="longest text, in characters")


class ExpectedValues(Limits):
    """Soft limits: a value outside is accepted and watched."""

    categories: list[str] | None = None

    @model_validator(mode="after")
    def _no_category_twice(self) -> Self:
        names = self.categories or []
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"categories stand twice: {', '.join(twice)}")
        return self


class Column(_Part):
    """One column of a record."""

    name: Identifier
    title: Sentence
    help: Sentence
    kind: Literal["integer", "number", "category"]
    unit: str | None = None
    nullable: bool = False
    feature: bool = True
    valid: ValidValues = ValidValues()
    expected: ExpectedValues = ExpectedValues()
    minimum_effect: float | None = Field(default=None, gt=0, lt=1)

    @property
    def is_category(self) -> bool:
        return self.kind == "category"

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(self.expected.categories or ())

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.is_category:
            if not self.expected.categories:
                raise ValueError("a category column needs expected.categories")
            too_long = [name for name in self.expected.categories if not 0 < len(name) <= self.valid.max_length]
            if too_long:
                raise ValueError(f"categories are empty or longer than valid.max_length: {', '.join(too_long)}")
            limits = (self.valid.minimum, self.valid.maximum, self.expected.minimum, self.expected.maximum)
            if any(limit is not None for limit in limits):
                raise ValueError("a category column takes no minimum or maximum")
        else:
            if self.expected.categories is not None:
                raise ValueError("expected.categories belongs to category columns")
            for limit in (self.expected.minimum, self.expected.maximum):
                if limit is not None and not self.valid.contain(limit):
                    raise ValueError(f"expected limit {limit:g} lies outside the valid limits")
        return self


class Target(_Part):
    """What is predicted: two named classes, or a number."""

    name: Identifier
    title: Sentence
    unit: str | None = None
    positive: str | None = None
    negative: str | None = None


class DataFile(_Part):
    """A raw file: where it is downloaded from and the digest it must have."""

    name: str
    role: Literal["train", "test"]
    url: str
    sha256: Sha256
    rows: int = Field(gt=0, le=LARGEST_COUNT)
    target_suffix: str | None = Field(default=None, min_length=1, description="what stands after each label")


class FileFormat(_Part):
    """How the raw files are written; fields are separated by commas, blanks around them do not count.

    ``fields`` are needed where there is no header; where there is one, it must be just these.
    """

    header: bool
    fields: list[Identifier] | None = None
    missing: list[str] = []
    comment_prefix: str | None = None


class Split(_Part):
    """Rows of the train files, drawn with the training seed; what is left becomes the stream.

    ``gate_rows`` decide whether a challenger replaces the champion; a third of what would be left, if not given.
    """

    fit_and_validation: int = Field(gt=0, le=LARGEST_COUNT)
    reference: int = Field(gt=0, le=LARGEST_COUNT)
    gate_rows: int | None = Field(default=None, gt=0, le=LARGEST_COUNT)
    test_share: float | None = Field(default=None, gt=0, lt=1)

    def gate_rows_of(self, left: int) -> int:
        """How many of the rows that fit and reference leave belong to the gate."""
        return left // 3 if self.gate_rows is None else self.gate_rows


class DataSource(_Part):
    citation: Sentence
    files: list[DataFile]
    format: FileFormat
    split: Split


class DataLimits(_Part):
    """Share of rows from which a column counts as broken, 0 to 1."""

    missing_increase: float = Field(default=0.05, gt=0, le=1, description="missing values above the reference's share")
    unseen: float = Field(default=0.02, gt=0, le=1, description="categories that are not expected")
    out_of_range: float = Field(default=0.02, gt=0, le=1, description="numbers outside the expected range")
    rejected: float = Field(default=0.05, gt=0, le=1, description="records refused for this column, of all that came")


class PerformanceLimits(_Part):
    """Degradation of performance, and delay of labels, from which a condition holds."""

    loss: float = Field(
        default=0.05, gt=0, lt=1, description="drop of accuracy, or growth of the mean error as a share of it"
    )
    gap: float = Field(default=0.05, gt=0, lt=1, description="estimated above realised, in the same unit as loss")
    minimum_labelled_rows: int = Field(default=200, ge=30, description="fewer labels say nothing")
    label_delay_s: float = Field(default=86_400, gt=0, description="the median label comes at most this late")


class MonitoringSettings(_Part):
    """The verdict's settings; rows and checks, never seconds, so that a slow stream is judged like a fast one.

    ``window_s`` also leaves out rows that came longer ago than this before the window's newest.
    """

    window_rows: int = Field(default=1000, ge=100, le=100_000, description="the newest rows, which are judged")
    window_s: float | None = Field(
        default=None, gt=0, description="none of them is older than this; no limit if not given"
    )
    minimum_rows: int = Field(default=200, ge=50, description="fewer are not judged")
    check_every_rows: int = Field(default=50, ge=1, description="rows from one check to the next")
    consecutive_checks: int = Field(default=3, ge=1, le=100, description="suspicious ones in a row make a verdict")
    significance: float = Field(
        default=0.0004, gt=0, lt=1, description="of the window test, family-wise over all columns and the score"
    )
    detector_significance: float = Field(
        default=0.001, gt=0, lt=1, description="the same of the stream detectors, in 20,000 rows"
    )
    minimum_effect: float = Field(default=0.005, gt=0, lt=1, description="share of rows that moved, 0 to 1")
    detector_delta: float = Field(default=0.05, gt=0, lt=1, description="ADWIN's confidence, for each watched series")
    data: DataLimits = DataLimits()
    quality: PerformanceLimits = PerformanceLimits()
    segments: list[Identifier] = Field(default=[], max_length=8, description="category columns to split performance by")

    @model_validator(mode="after")
    def _minimum_fits_window(self) -> Self:
        if self.minimum_rows > self.window_rows:
            raise ValueError("minimum_rows is above window_rows")
        return self


class PromotionLimits(_Part):
    """When a challenger replaces the champion, by what both score on the gate rows.

    Errors are Brier scores in a binary case, absolute errors in a regression. Growth counts as above a limit when it is
    beyond chance as well.
    """

    margin: float = Field(
        default=0.001, ge=0, lt=1, description="AUC, or R2, by which a challenger is better for certain"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of each one-sided limit")
    calibration: float = Field(
        default=0.02,
        gt=0,
        description="growth of the calibration error; in a regression, of the target's spread",
    )
    segment: float = Field(
        default=0.02, gt=0, description="growth of a segment's mean error; in a regression, of the champion's"
    )


class TrainingLimits(_Part):
    """Limits of training, and how its reports split numbers."""

    promotion: PromotionLimits = PromotionLimits()
    bands: dict[Identifier, list[float]] = Field(
        default={}, max_length=8, description="number columns to split measures by, each with the edges of its bands"
    )


class Case(_Part):
    """A whole case file."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    title: Sentence
    description: Sentence
    task: Literal["binary", "regression"]
    target: Target
    columns: list[Column] = Field(min_length=1)
    data: DataSource
    monitoring: MonitoringSettings = MonitoringSettings()
    training: TrainingLimits = TrainingLimits()

    @cached_property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.feature)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def sha256(self) -> str:
        """Digest of the content: comments and layout of the file do not change it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def minimum_effect(self, column: Column) -> float:
        return column.minimum_effect or self.monitoring.minimum_effect

    @property
    def is_binary(self) -> bool:
        return self.task == "binary"

    def is_label(self, value: object) -> bool:
        """Whether ``value`` can be this case's ground truth: one of the two classes, or a finite number."""
        if self.is_binary:
            return isinstance(value, str) and value in (self.target.positive, self.target.negative)
        return isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)
