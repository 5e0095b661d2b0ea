#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: --dist=loadgroup takes the mark xdist_group and ignores it. xdist tells its
# scheduler the group by writing it behind a test's id in a private attribute, which pytest 9.2 no longer reads. No
# warning: tests of one group run in several workers, and a module's fixtures are set up in each of them.
# pytest 8.4.2 keeps the group together.
# Seen on 2026-11-30, Python 3.11:
#   pytest 9.2.0, pytest-xdist 3.8.0: one group of 6 tests ran in 2 workers
#   pytest 8.4.2, pytest-xdist 3.8.0: one group of 6 tests ran in 1 worker
# Exits 1 if this changes. Needs the package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/test_group.py" <<'PY'
import os
from pathlib import Path

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_where_it_runs(number):
    Path(os.environ["WORKERS"], os.environ["PYTEST_XDIST_WORKER"]).touch()
PY
workers_of() {
  python3 -m venv "$folder/venv-$1"
  "$folder/venv-$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  mkdir "$folder/workers-$1"
  (cd "$folder" && WORKERS="$folder/workers-$1" timeout 60 "$folder/venv-$1/bin/python" -m pytest \
    -q -p no:cacheprovider --numprocesses=2 --dist=loadgroup test_group.py >"$folder/out-$1")
  number=$(find "$folder/workers-$1" -type f | wc -l)
  echo "pytest $1, pytest-xdist 3.8.0: one group of 6 tests ran in $number worker$([ "$number" = 1 ] || echo s)"
}
workers_of 9.2.0
now=$number
workers_of 8.4.2
[ "$now" = 2 ] && [ "$number" = 1 ]
