"""The figures of a release. Each function returns a matplotlib Figure whose description travels with its PNG."""

from __future__ import annotations

from stage1_core.report.figures.calibration import reliability
from stage1_core.report.figures.canvas import png_bytes, save_png
from stage1_core.report.figures.ranking import risk_coverage
from stage1_core.report.figures.scores import confidence_histogram
from stage1_core.report.figures.sweep import certificate_sweep
from stage1_core.report.figures.training import training_curves

__all__ = [
    "certificate_sweep",
    "confidence_histogram",
    "png_bytes",
    "reliability",
    "risk_coverage",
    "save_png",
    "training_curves",
]
