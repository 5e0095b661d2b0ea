"""Every command that docs/operations.md shows does what it is shown for, in the order of the page."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from guarded_world import KEY, World, guarded_world
from monitoring_process import poll_until

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def commands(world: World) -> list[str]:
    """The shell blocks, with the case, the address and the key that the tests have."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    asking = f'curl -sS -H "Authorization: Bearer {KEY}"'
    monitoring = world.replica.monitoring_url
    return [
        block.replace("census", "shop").replace("curl", asking).replace("http://127.0.0.1:8085", monitoring)
        for block in blocks
    ]


def test_every_command_on_the_page_runs(
    tmp_path: Path, mongo_url: str, mongo_database: str, kafka_url: str, kafka_namespace: str
) -> None:
    with guarded_world(tmp_path, f"{mongo_url}/{mongo_database}", f"{kafka_url}/{kafka_namespace}") as world:
        for record_id in ("ada-1", "ada-2", "bob-1"):
            world.predict(record_id)
        world.wait_until_all_is_delivered()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shown = {}
        for block in commands(world):
            ended = subprocess.run(
                ["bash", "-euc", block],
                cwd=tmp_path,
                env={**os.environ, **world.settings, "PATH": path},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert ended.returncode == 0, f"{block}{ended.stdout}{ended.stderr}"
            shown[block] = ended.stdout
        assert len(shown) >= 7
        # Three records are too few for a reference, and the service says so.
        answers = next(text for block, text in shown.items() if "/api/reference" in block)
        assert (answers.count('"status":409'), answers.count('"bundle"')) == (2, 1)
        for record_id, documents in (("ada-1", 0), ("bob-1", 1)):
            poll_until(lambda one=record_id, count=documents: len(world.documents_with(one)) == 2 * count, 30)
    with sqlite3.connect(tmp_path / "backups" / "inbox.sqlite") as copy:
        assert copy.execute("SELECT count(*) FROM predictions").fetchone() == (3,)
    assert (tmp_path / "var" / "shop" / "journals" / "01" / "journal.sqlite").is_file()
