"""The linear probe: how well a plain logistic regression knows and ranks the classes on a backbone's features."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stage1_core.adaptation.config import ProbeConfig
from stage1_core.adaptation.outcomes import ProbeResult
from stage1_core.data.features import Float32
from stage1_core.errors import DataError, SplitUseError
from stage1_core.metrics.risk_coverage import augrc
from stage1_core.model.backbone import Backbone
from stage1_core.predictions import Integer, Scores
from stage1_core.splits import Purpose
from stage1_core.training.rows import Rows, sequential_plan

_ITERATIONS = 1000


class LinearProbe:
    """Fitted on FIT_WEIGHTS pictures, judged on SELECT_MODEL pictures; both are `PictureRows` without augmentation.

    Raises `SplitUseError` for rows of other purposes, `DataError` where there are none or all are of one class.
    """

    def __init__(self, fit_rows: Rows, select_rows: Rows, config: ProbeConfig) -> None:
        for rows, purpose in ((fit_rows, Purpose.FIT_WEIGHTS), (select_rows, Purpose.SELECT_MODEL)):
            if rows.purpose is not purpose:
                raise SplitUseError(f"rows read for {rows.purpose} cannot be used here; a probe needs {purpose} rows")
            if len(rows.labels) == 0:
                raise DataError(f"there are no {purpose} rows; a probe needs FIT_WEIGHTS and SELECT_MODEL rows")
        self._fit_rows, self._select_rows, self._config = fit_rows, select_rows, config
        # by chance but always the same: the first ones might all be of one source
        order = np.random.default_rng(0).permutation(len(fit_rows.labels))
        self._fit_on: Integer = np.sort(order[: config.max_fit_pictures])
        if len(np.unique(fit_rows.labels[self._fit_on])) < 2:
            raise DataError("all pictures of the probe are of one class; add pictures of the other, or raise its limit")

    def __call__(self, backbone: Backbone) -> ProbeResult:
        """Judge ``backbone``, on the device where it lies. The same weights always give the same numbers on a CPU."""
        features = self._features(backbone, self._fit_rows, self._fit_on)
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=self._config.inverse_regularization, max_iter=_ITERATIONS)
        ).fit(features, self._fit_rows.labels[self._fit_on])
        rows = self._select_rows
        margin = model.decision_function(self._features(backbone, rows, np.arange(len(rows.labels))))
        scores = Scores(rows.ids, np.stack([np.zeros_like(margin), margin], axis=1))
        correct = scores.likelier_class == rows.labels
        area = augrc(scores.confidence, ~correct)
        assert area is not None, "undefined only without rows, which are refused"
        return ProbeResult(augrc=area, accuracy=float(correct.mean()))

    def _features(self, backbone: Backbone, rows: Rows, positions: Integer) -> Float32:
        """``(len(positions), hidden)`` float64: the regression's sums are more exact, and as fast."""
        plan = [positions[part] for part in sequential_plan(len(positions), self._config.batch_size)]
        with torch.inference_mode():
            found = [
                backbone(pixels.to(backbone.mean.device)).float().cpu() for pixels, _ in rows.batches(plan, epoch=0)
            ]
        values: Float32 = torch.cat(found).double().numpy()
        return values
