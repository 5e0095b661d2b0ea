"""A small made case, a fake scorer and the wired parts of the prediction service, for its tests."""

from __future__ import annotations

import contextlib
import io
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml
from prometheus_client import CollectorRegistry
from serving_world import made_model

from event_backbone.case.files import case_from_dict
from event_backbone.case.records import Record
from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef, Prediction, content_hash, encode_json
from event_backbone.model.bundle import BundleStore, write_bundle
from event_backbone.model.encoder import Encoder
from event_backbone.ports import RegisteredBundle
from event_backbone.server.wsgi_bridge import response_of
from prediction_service.bootstrap import ServingApplication, build_serving
from prediction_service.inference.predictor import Predictor
from prediction_service.inference.rejections import RejectionLog
from prediction_service.journal.writer import Journal
from prediction_service.serving.handlers import PredictionHandlers
from prediction_service.serving.metrics import ServingMetrics
from prediction_service.settings import ServingSettings

MODEL = ModelRef("streamgauge-garden", "7")
BUNDLE_SHA256 = "b" * 64
#: Between two scores that whole leaves can have.
THRESHOLD = 0.505
SOILS = ["clay", "loam", "sand"]

#: One column of each kind, with and without limits, nullable and not.
COLUMNS: list[dict[str, Any]] = [
    {
        "name": "leaves",
        "title": "Leaves",
        "help": "Counted by hand.",
        "kind": "integer",
        "valid": {"minimum": 0, "maximum": 5000},
        "expected": {"minimum": 1, "maximum": 300},
    },
    {"name": "plot", "title": "Plot", "help": "Number of the bed.", "kind": "integer", "feature": False},
    {
        "name": "height",
        "title": "Height",
        "help": "Above the ground.",
        "kind": "number",
        "unit": "cm",
        "valid": {"minimum": 0.5, "maximum": 250.25},
    },
    {"name": "drift_south", "title": "Drift", "help": "Any number.", "kind": "number", "nullable": True},
    {
        "name": "soil",
        "title": "Soil",
        "help": "What it stands in.",
        "kind": "category",
        "valid": {"max_length": 12},
        "expected": {"categories": SOILS},
    },
    {
        "name": "neighbour",
        "title": "Neighbour",
        "help": "What stands beside it.",
        "kind": "category",
        "nullable": True,
        "expected": {"categories": ["rose", "weed"]},
    },
]


def case_content(**changes: Any) -> dict[str, Any]:
    """What a case file holds after YAML."""
    content = {
        "name": "garden",
        "title": "Garden",
        "description": "Will a plant flower?",
        "task": "binary",
        "target": {"name": "flowers", "title": "Flowers", "positive": "yes", "negative": "no"},
        "columns": COLUMNS,
        "data": {
            "citation": "Made up.",
            "files": [
                {"name": "g.csv", "role": "train", "url": "https://example.com", "sha256": "0" * 64, "rows": 5000}
            ],
            "format": {"header": True},
            "split": {"fit_and_validation": 1000, "reference": 1000, "test_share": 0.2},
        },
    }
    return {**content, **changes}


def made_case(**changes: Any) -> Case:
    return case_from_dict(case_content(**changes), subject="made case")


def numeric_case() -> Case:
    """The same garden with a number to predict."""
    target = {"name": "flowers", "title": "Flowers", "unit": "blossoms"}
    return made_case(name="garden-numbers", task="regression", target=target)


def write_case(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "garden.yaml"
    path.write_text(yaml.safe_dump(case_content(**changes)))
    return path


def made_record(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A valid record; the same seed gives the same one."""
    rng = random.Random(seed)
    record = {
        "leaves": rng.randint(1, 100),
        "plot": rng.randint(1, 40),
        "height": round(rng.uniform(1, 200), 2),
        "drift_south": round(rng.gauss(0, 3), 3) if rng.random() < 0.9 else None,
        "soil": rng.choice(SOILS),
        "neighbour": rng.choice(["rose", "weed", None]),
    }
    return {**record, **changes}


def made_score(record: Mapping[str, Any]) -> float:
    """What :class:`FakeScorer` and the model of :func:`install_champion` say about a record."""
    return min(0.99, max(0.01, record["leaves"] / 100))


def made_class(score: float) -> str:
    return "yes" if score >= THRESHOLD else "no"


class FakeScorer:
    """Scores by one field; remembers the sizes of the groups it was given."""

    def __init__(self, *, model: ModelRef = MODEL) -> None:
        self.model = model
        self.bundle_sha256 = BUNDLE_SHA256
        self.groups: list[int] = []

    def score(self, records: Sequence[Record]) -> list[float]:
        self.groups.append(len(records))
        return [made_score(msgspec.structs.asdict(record)) for record in records]

    def decide(self, score: float) -> str:
        return made_class(score)


def servable_parts(case: Case) -> dict[str, bytes]:
    """The files of a bundle that serving needs; its model gives :func:`made_score`."""
    golden = [made_record(seed) for seed in range(8)]
    scores = [made_score(record) for record in golden]
    encoder = Encoder.fit(case, golden, scores)
    return {
        "model.onnx": made_model(len(encoder.feature_names)),
        "encoder.json": encoder.to_json(),
        "decision.json": encode_json({"threshold": THRESHOLD}),
        "golden.json": encode_json({"records": golden, "scores": scores}),
    }


def shelve(bundles_dir: Path, case: Case, *, version: str = "7", **parts: bytes | None) -> RegisteredBundle:
    """Install a bundle, without pointing at it; ``parts`` (``model_onnx=…``) replace files, ``None`` leaves
    them out."""
    changed = {name.replace("_", "."): content for name, content in parts.items()}
    files = {name: content for name, content in {**servable_parts(case), **changed}.items() if content is not None}
    bundles_dir.mkdir(parents=True, exist_ok=True)
    made = bundles_dir / f"new-{version}"
    sha256 = write_bundle(made, case, files)
    made.rename(bundles_dir / sha256)
    return RegisteredBundle(ModelRef(MODEL.name, version), sha256)


def install_champion(state_dir: Path, cases_dir: Path) -> None:
    """Write the made case, a bundle for it and the pointer that makes it the champion."""
    write_case(cases_dir)
    bundles_dir = state_dir / "garden" / "bundles"
    BundleStore(bundles_dir).repoint(shelve(bundles_dir, made_case()))


def prediction(record_id: str = "r1", *, seed: int = 0, **changes: Any) -> Prediction:
    record = made_record(seed)
    fields = {
        "record_id": record_id,
        "case": "garden",
        "case_sha256": "c" * 64,
        "record": record,
        "prediction": "yes",
        "score": made_score(record),
        "model": MODEL,
        "bundle_sha256": BUNDLE_SHA256,
        "predicted_at": "2026-01-01T00:00:00.000000Z",
        "content_hash": content_hash(record),
    }
    return Prediction(**{**fields, **changes})


@dataclass
class Service:
    """The parts behind the routes, on a journal of their own and a fake scorer."""

    folder: Path
    case: Case = field(default_factory=made_case)
    max_bytes: int = 2**30
    max_batch_records: int = 10

    def __post_init__(self) -> None:
        self.metrics = ServingMetrics(CollectorRegistry(), self.case)
        self.journal = Journal(self.folder / "journal.sqlite", max_bytes=self.max_bytes)
        self.rejections = RejectionLog(self.case, self.metrics)
        self.scorer: FakeScorer | None = FakeScorer()
        self.handlers = PredictionHandlers(
            self.case,
            self.journal,
            Predictor(self.case, lambda: self.scorer),
            self.metrics,
            self.rejections,
            self.max_batch_records,
        )

    def value(self, metric: str, **labels: str) -> float:
        """A metric's value; 0 when nothing has the labels."""
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


@contextlib.contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[ServingApplication]:
    """The whole service without a server: what :func:`call` can be told to call."""
    install_champion(folder / "state", folder / "cases")
    made = ServingSettings(case="garden", cases_dir=folder / "cases", state_dir=folder / "state", **settings)
    application = build_serving(made, made.load_case(), threading.Event())
    try:
        yield application
    finally:
        application.close()


@dataclass(frozen=True)
class Reply:
    """What a WSGI application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def call(
    application: Any,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    content_length: int | None = -1,
    query: str = "",
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request to a WSGI application; ``content_length=None`` sends none, as a chunked body does."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "9696",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": content_type,
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
    if content_length is not None:
        environ["CONTENT_LENGTH"] = str(len(body) if content_length < 0 else content_length)
    response = response_of(application, environ)
    return Reply(response.status, dict(response.headers), response.body)
