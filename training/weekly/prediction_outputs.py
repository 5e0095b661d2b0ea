"""Outputs of offline predictions: a Parquet file, or MongoDB beside the log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_backbone.case.schema import Case
from event_backbone.mongodb.access import MongoAccess
from event_backbone.mongodb.documents import Collections
from event_backbone.mongodb.log import RescoredPredictions
from event_backbone.process.files import make_folder, put_in_place
from training.weekly.offline_prediction import Scored

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter


class ParquetOutput:
    """One row for each row of the source: its place, the prediction, or the faults for which there is none.

    The file appears when it is whole, in place of one that was there, and is durable from then on.
    """

    def __init__(self, case: Case, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._beside = path.with_name(f".{path.name}.new")
        self._is_binary = case.is_binary
        self._writer: ParquetWriter | None = None

    def write(self, batch: Sequence[Scored]) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        schema = self._schema()
        if self._writer is None:
            make_folder(self._path.parent)
            self._writer = ParquetWriter(self._beside, schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist([_row(one) for one in batch], schema))

    def _schema(self) -> Any:
        import pyarrow as pa

        return pa.schema([
            ("row", pa.int64()),
            ("record_id", pa.string()),
            ("prediction", pa.string() if self._is_binary else pa.float64()),
            ("score", pa.float64()),
            ("model_name", pa.string()),
            ("model_version", pa.string()),
            ("bundle_sha256", pa.string()),
            ("predicted_at", pa.string()),
            ("faults", pa.list_(pa.string())),
        ])  # fmt: skip

    def close(self) -> None:
        self._end()
        put_in_place(self._beside, self._path)

    def discard(self) -> None:
        self._end()
        self._beside.unlink(missing_ok=True)

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _row(one: Scored) -> dict[str, Any]:
    row: dict[str, Any] = {"row": one.row, "record_id": one.record_id}
    row["faults"] = [f"{fault.place}: {fault.message}" for fault in one.faults]
    if (said := one.prediction) is None:
        return row
    model = {"model_name": said.model.name, "model_version": said.model.version, "bundle_sha256": said.bundle_sha256}
    return {**row, **model, "prediction": said.prediction, "score": said.score, "predicted_at": said.predicted_at}


class MongoOutput:
    """The collection of re-scored predictions: once by ``(record_id, model version)``.

    Each batch is durable when it is written; a run that is repeated adds nothing twice.
    """

    def __init__(self, access: MongoAccess, case: Case) -> None:
        self.name = f"MongoDB at {access.hosts}, {access.database}.{Collections(case.name).rescored}"
        self._kept = RescoredPredictions(access, case.name)

    def write(self, batch: Sequence[Scored]) -> None:
        self._kept.keep([one.prediction for one in batch if one.prediction is not None])

    def close(self) -> None:
        self._kept.close()

    def discard(self) -> None:
        self._kept.close()
