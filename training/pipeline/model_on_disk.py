"""A fitted model in a folder, without a pickle: ONNX, JSON and an array of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.model.encoder import Encoder
from training.data.rows import Floats
from training.families.family import Features
from training.fitting.challenger import Converted, TrainingPlan
from training.fitting.cross_validation import Candidate, FittedModel, ValidatedCandidate
from training.fitting.onnx import onnx_scores
from training.pipeline.folders import from_stage

_MODEL_FILE, _ENCODER_FILE, _FIT_FILE, _SCORES_FILE = "model.onnx", "encoder.json", "fit.json", "scores.npy"
_NATIVE_FOLDER = "native"


class _Validated(msgspec.Struct):
    candidate: Candidate
    rounds: int
    measure: float


class _Fit(msgspec.Struct):
    """How the model came about; ``chosen`` is its place in ``compared``."""

    seed: int
    chosen: int
    compared: list[_Validated]
    threshold: float | None
    validation_metrics: dict[str, float]
    parity: float


@dataclass(frozen=True)
class StoredModel:
    """A model of whatever family, scoring by its ONNX form."""

    onnx: bytes
    rounds: int
    native: Mapping[str, bytes]

    def scores(self, features: Features) -> Floats:
        return onnx_scores(self.onnx, features)

    def to_onnx(self, features: int) -> bytes:
        return self.onnx

    def native_files(self) -> Mapping[str, bytes]:
        return self.native


def write_model(folder: Path, plan: TrainingPlan, converted: Converted) -> None:
    model = converted.model
    (folder / _NATIVE_FOLDER).mkdir()
    for name, content in model.model.native_files().items():
        (folder / _NATIVE_FOLDER / name).write_bytes(content)
    (folder / _MODEL_FILE).write_bytes(converted.onnx)
    (folder / _ENCODER_FILE).write_bytes(model.encoder.to_json())
    np.save(folder / _SCORES_FILE, np.stack([model.targets, *(one.scores for one in model.compared)]))
    fit = _Fit(
        seed=plan.seed,
        chosen=[one is model.chosen for one in model.compared].index(True),
        compared=[_Validated(one.candidate, one.rounds, one.measure) for one in model.compared],
        threshold=model.threshold,
        validation_metrics=dict(model.validation_metrics),
        parity=converted.parity,
    )
    (folder / _FIT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(fit), indent=1))


def load_model(folder: Path) -> tuple[TrainingPlan, Converted]:
    """The plan and the model that :func:`write_model` left; raises :class:`SettingsError` when it isn't there."""
    return from_stage("train", folder, lambda: _load(folder))


def _load(folder: Path) -> tuple[TrainingPlan, Converted]:
    fit = decode_bounded((folder / _FIT_FILE).read_bytes(), _Fit)
    onnx = (folder / _MODEL_FILE).read_bytes()
    native = {path.name: path.read_bytes() for path in sorted((folder / _NATIVE_FOLDER).iterdir())}
    targets, *scores = np.load(folder / _SCORES_FILE, allow_pickle=False)
    compared = _compared(fit.compared, scores)
    chosen = compared[fit.chosen]
    model = FittedModel(
        encoder=Encoder.from_json((folder / _ENCODER_FILE).read_bytes()),
        model=StoredModel(onnx, chosen.rounds, native),
        chosen=chosen,
        compared=compared,
        threshold=fit.threshold,
        validation_metrics=fit.validation_metrics,
        targets=targets,
    )
    plan = TrainingPlan(fit.seed, candidates=[one.candidate for one in fit.compared])
    return plan, Converted(model, onnx, fit.parity)


def _compared(stored: Sequence[_Validated], scores: Sequence[Floats]) -> list[ValidatedCandidate]:
    return [
        ValidatedCandidate(one.candidate, one.rounds, held_out, one.measure)
        for one, held_out in zip(stored, scores, strict=True)
    ]
