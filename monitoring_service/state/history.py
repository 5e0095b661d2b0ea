"""The history of checks, for charts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
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


def point_of(check_result: CheckResult, received_at: float) -> Point:
    return Point(
        row=check_result.row,
        received_at=received_at,
        effects=[
            None if column_verdict.measure.effect is None else round(column_verdict.measure.effect, 4)
            for column_verdict in check_result.columns
        ],
        suspicious=[column_verdict.suspicious is True for column_verdict in check_result.columns],
        drifted=[column_verdict.verdict_state.drifted for column_verdict in check_result.columns],
        prediction_effect=check_result.prediction.measure.effect,
        prediction_drifted=check_result.prediction.verdict_state.drifted,
        mix=check_result.mix.window,
        performance={name: metric_value.value for name, metric_value in check_result.performance.metric_values.items()},
        estimated={name: metric_value.value for name, metric_value in check_result.performance.estimated.items()},
        labelled_rows=check_result.performance.labelled_rows,
        version=check_result.model.version,
    )


encode_point = msgspec.json.Encoder().encode
decode_point: Callable[[bytes], Point] = bounded_decoder(Point)
