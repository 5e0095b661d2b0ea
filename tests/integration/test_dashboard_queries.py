"""Prometheus' own parser takes every query of every panel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from dashboards import PanelQuery, queries
from real_parts_cache import part_or_skip


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    part_or_skip("promtool")
    rules = [{"record": f"panel:query:{index}", "expr": query.asked("census")} for index, query in enumerate(queries())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ended = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout


def test_a_query_that_is_no_promql_is_refused(tmp_path: Path) -> None:
    """The test above can fail."""
    part_or_skip("promtool")
    broken = PanelQuery("d", "p", "A", 'sum(rate(x{case="$case"})').asked("census")
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "a:b:c", "expr": broken}]}]}))
    assert subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, check=False).returncode != 0
