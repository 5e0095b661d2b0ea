"""Adapters of the :class:`~event_backbone.ports.PredictionLog` port, chosen by URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from event_backbone.errors import Fault, SettingsError
from event_backbone.ports import PredictionLog
from event_backbone.prediction_log.sqlite import SqliteLog
from event_backbone.settings import ConnectionSettings


def open_prediction_log(
    url: str, case: str, settings: ConnectionSettings, *, timeout_s: float, place: str
) -> PredictionLog:
    """A journal's path, ``sqlite:///<path>`` or ``mongodb://…``; MongoDB's driver is loaded for the last alone.

    Raises:
        SettingsError: naming ``place``, when no adapter takes ``url``; it never shows what stands before the hosts.
        TryAgainLaterError: there is no such file. MongoDB is not asked yet.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme == "mongodb":
        from event_backbone.mongodb.access import mongo_access
        from event_backbone.mongodb.log import MongoLog

        return MongoLog(mongo_access(url, settings, timeout_s=timeout_s, place=place), case)
    if scheme in ("", "sqlite"):
        return SqliteLog(_path_of(url) if scheme else Path(url))
    raise SettingsError("settings", [Fault(place, "scheme", f"no log for {scheme!r}; there are: sqlite, mongodb")])


def _path_of(url: str) -> Path:
    """``sqlite:///relative/path`` and ``sqlite:////absolute/path``, as such URLs are read elsewhere."""
    return Path(unquote(urlsplit(url).path)[1:])
