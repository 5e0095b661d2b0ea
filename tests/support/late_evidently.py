"""A stand-in before the package Evidently: it lets the real one be imported late, or never."""

from __future__ import annotations

import os
from pathlib import Path

_WAITING = """
import importlib.machinery, pathlib, sys, time

gate = pathlib.Path(__file__).parent.parent / "gate"
while not gate.exists():
    time.sleep(0.05)
elsewhere = [place for place in sys.path if place != str(gate.parent)]
real = importlib.machinery.PathFinder.find_spec("evidently", elsewhere)
__path__, __file__ = list(real.submodule_search_locations), real.origin
exec(compile(pathlib.Path(real.origin).read_text(), real.origin, "exec"))
"""
_BROKEN = 'raise ImportError("there is no Evidently here")'


class LateEvidently:
    """``settings`` put it before the real one in a service's processes; :meth:`come` lets that be imported."""

    def __init__(self, folder: Path, *, never: bool = False) -> None:
        self._folder = folder
        package = folder / "evidently"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(_BROKEN if never else _WAITING)

    @property
    def settings(self) -> dict[str, str]:
        places = [str(self._folder), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, places))}

    def come(self) -> None:
        (self._folder / "gate").touch()
