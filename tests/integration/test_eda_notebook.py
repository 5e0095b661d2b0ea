"""The notebook runs from top to bottom on the synthetic sample, and is kept without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "training" / "notebooks" / "eda.ipynb"


@pytest.mark.long
@pytest.mark.parametrize("case", ["census", "housing"])
def test_it_runs_on_the_synthetic_sample(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    settings = {"CASE": case, "STATE_DIR": str(tmp_path), "EDA_SYNTHETIC": "1", "EDA_ROWS": "900"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATA_DIR", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": ROOT}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "SYNTHETIC" in printed
    assert "they can't be told apart" in printed


def test_no_output_is_kept() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []
