"""Drift of columns and scores: measures, verdict and stream detectors; values in, values out."""
