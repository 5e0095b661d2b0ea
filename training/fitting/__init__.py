"""Fitting, conversion to ONNX, evaluation and the artifacts of a challenger; promotes nothing."""
