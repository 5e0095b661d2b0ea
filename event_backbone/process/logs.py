"""Structured logs: an event name and fields, one JSON object a line on stdout. Record contents never go there."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logging(service: str, level: str) -> None:
    """Call once, from a ``__main__``: libraries' warnings go through the same renderer."""
    shared: list[structlog.typing.Processor] = [
        lambda _logger, _name, event: {"service": service, **event},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Asked for at each line, so that a redirected stdout is honoured.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[_drop_stdlib_fields, renderer], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # A line for each attempt to reach what is away; whoever asked reports that itself.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _drop_stdlib_fields(
    _logger: structlog.typing.WrappedLogger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, event)
