"""Reading of case files, with every fault and its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from event_backbone.case.consistency import faults_across
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step}"
    return text or "(whole file)"


def faults_in_file(error: ValidationError) -> list[Fault]:
    """What pydantic found in a file of ours, each fault with its place."""
    return [
        Fault(_place(item["loc"]), item["type"], item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_url=False)
    ]


def case_from_dict(content: Any, *, subject: str) -> Case:
    """Build a case; raise :class:`SettingsError` with every fault and its place."""
    try:
        case = Case.model_validate(content)
    except ValidationError as error:
        raise SettingsError(subject, faults_in_file(error)) from None
    faults = faults_across(case)
    if faults:
        raise SettingsError(subject, faults)
    return case


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; raise :class:`SettingsError` when it can't be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(str(path), [Fault("(file)", "unreadable", error.strerror or "can't be read")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), [Fault("(file)", "no_yaml", " ".join(str(error).split()))]) from None
    except (ValueError, LookupError, AttributeError) as error:
        # PyYAML lets out what its constructors raise: for a month 99, or for a tag that does not fit its value.
        message = f"a value can't be read as what its form or tag says ({type(error).__name__}: {error})"
        raise SettingsError(str(path), [Fault("(file)", "no_yaml", message)]) from None
    except RecursionError:  # the loader is Python all through, so this is no end of a stack
        raise SettingsError(str(path), [Fault("(file)", "no_yaml", "is nested too deeply")]) from None


def load_case(path: Path) -> Case:
    """Read a case file; raise :class:`SettingsError` with every fault and its place."""
    return case_from_dict(read_yaml(path), subject=str(path))


def find_case(name: str, cases_dir: Path) -> Case:
    """Load ``<cases_dir>/<name>.yaml``; an unknown name is answered with the names there are."""
    path = cases_dir / f"{name}.yaml"
    if not path.is_file():
        there = sorted(file.stem for file in cases_dir.glob("*.yaml") if "." not in file.stem)
        message = f"no such case in {cases_dir}; there are: {', '.join(there) or 'none'}"
        raise SettingsError(f"case {name!r}", [Fault("CASE", "unknown", message)])
    case = load_case(path)
    if case.name != name:
        # A copied case file would otherwise take over the models and the state of the case it was copied from.
        message = f"the file is called {path.name}, so the name must be {name!r}, not {case.name!r}"
        raise SettingsError(str(path), [Fault("name", "file_name", message)])
    return case
