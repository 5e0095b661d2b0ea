"""Allowed files of a bundle: data and nothing to execute, never a pickle; and their writing."""

from __future__ import annotations

import re
from pathlib import Path

#: What our readers read; none of them runs what it reads.
KINDS = frozenset({".json", ".onnx", ".parquet", ".ubj", ".yaml"})

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
#: A pickle since protocol 2 (PEP 307) begins with this and its protocol's number, and ends with a full stop.
_PICKLE_START, _LAST_PROTOCOL, _PICKLE_END = b"\x80", 5, b"."


def fault_in_name(name: str) -> str | None:
    """Why a file name is not allowed: a manifest comes from a registry, and its names must not lead elsewhere."""
    if not _FILE_NAME.fullmatch(name):
        return f"{name!r} can't be the name of a file in it"
    if Path(name).suffix not in KINDS:
        return f"{name}: only {', '.join(sorted(KINDS))} may be in a bundle"
    return None


def fault_in_content(content: bytes) -> str | None:
    """Why content is not allowed, whatever the name: no pickle, even if nobody would load it."""
    starts = content[:1] == _PICKLE_START and content[1:2] <= bytes([_LAST_PROTOCOL]) and len(content) > 1
    return "is a pickle" if starts and content.endswith(_PICKLE_END) else None


def unlisted_files(folder: Path, known: frozenset[str]) -> list[str]:
    """Files in a folder that the manifest does not list."""
    return sorted(path.name for path in folder.iterdir() if path.name not in known)
