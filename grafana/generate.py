"""``python -m grafana.generate`` writes every dashboard as JSON; the same code writes the same bytes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import data_drift, data_quality, model_performance, overview, prediction_drift, serving

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = (
    overview.overview,
    data_drift.data_drift,
    prediction_drift.prediction_drift,
    model_performance.classification,
    model_performance.regression,
    data_quality.data_quality,
    serving.serving,
)


def files() -> Iterator[tuple[str, str]]:
    """Name and content of each."""
    for make in DASHBOARDS:
        dashboard = make()
        yield f"{dashboard.uid}.json", JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write Grafana's dashboards.")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder (default: grafana/dashboards)")
    folder: Path = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    written = dict(files())
    for old in set(folder.glob("*.json")) - {folder / name for name in written}:
        old.unlink()
    for name, content in written.items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
