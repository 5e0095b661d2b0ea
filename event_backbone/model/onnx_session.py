"""ONNX Runtime sessions: without logs, with small memory, and without telemetry; the only module that imports it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from event_backbone.model.onnx_external_data import external_files


def open_session(model: bytes) -> Callable[[dict[str, Any]], Any]:
    """A function from inputs by name to the model's last output.

    Raises whatever ONNX Runtime does, and :class:`ValueError` for a model whose weights are in files beside it.
    Since 1.29 its Linux builds send telemetry unless this variable says otherwise before they are loaded.
    """
    outside = external_files(model)
    if outside:
        raise ValueError(f"its weights are in other files, {', '.join(outside[:3])}; a bundle's model holds its own")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One row at a time gains nothing from a thread pool, and its threads would fight with the server's.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    last_output = [session.get_outputs()[-1].name]
    return lambda feed: session.run(last_output, feed)[0]
