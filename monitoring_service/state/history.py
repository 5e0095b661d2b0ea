"""The history of checks: of each what charts show."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from monitoring_service.state.monitor_state import CheckResult


class Point(Struct, frozen=True):
    """A check in the history, small enough to keep thousands: lists follow the case's columns.

    ``received_at`` is when the window's last record came, in seconds since 1970.
    """

    row: int
    received_at: float
    effects: list[float | None]
    suspicious: list[bool]
    drifted: list[bool]
    prediction_effect: float | None
    prediction_drifted: bool
    mix: dict[str, float]
    performance: dict[str, float]
    labelled_rows: int
    version: str
    estimated: dict[str, float] = {}


def point_of(evaluation: CheckResult, received_at: float) -> Point:
    return Point(
        row=evaluation.row,
        received_at=received_at,
        effects=[
            None if judged.measure.effect is None else round(judged.measure.effect, 4) for judged in evaluation.columns
        ],
        suspicious=[judged.suspicious is True for judged in evaluation.columns],
        drifted=[judged.streak.drifted for judged in evaluation.columns],
        prediction_effect=evaluation.prediction.measure.effect,
        prediction_drifted=evaluation.prediction.streak.drifted,
        mix=evaluation.mix.window,
        performance={name: figure.value for name, figure in evaluation.quality.figures.items()},
        estimated={name: figure.value for name, figure in evaluation.quality.estimated.items()},
        labelled_rows=evaluation.quality.labelled_rows,
        version=evaluation.model.version,
    )


encode_point = msgspec.json.Encoder().encode
decode_point = msgspec.json.Decoder(Point).decode
