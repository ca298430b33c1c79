"""A released bundle scored over the rows of a purpose, in the order of the ledger.

Features are computed by the bundle's own backbone and kept in a `FeatureStore`, then go through the bundle's own head.
`Stage1.scores` would compute the same logits (but for rounding, since inference folds batch norms) and keep nothing: a
champion meets every candidate on the same pictures, mostly with the candidate's backbone, so nearly all of the work of
a comparison would be done again.
"""

from __future__ import annotations

from pathlib import Path

from stage1_core.bundle.inference import full_precision
from stage1_core.bundle.runtime import Stage1
from stage1_core.data.ledger import SplitLedger
from stage1_core.model.backbone import Backbone
from stage1_core.model.classifier import predict_features
from stage1_core.model.extraction import Progress, extract_features
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose


def score_rows(
    stage1: Stage1,
    ledger: SplitLedger,
    purpose: Purpose,
    *,
    store_folder: Path,
    batch_size: int | None = None,
    on_progress: Progress | None = None,
) -> Predictions:
    """What ``stage1`` says about the rows that ``purpose`` may read, with their labels.

    Features are kept below ``store_folder``; those that lie there are not computed again. Only the pictures of a few
    batches are in memory at a time. ``batch_size`` and ``on_progress`` are those of `extract_features`. Raises
    `DataError` for pictures that cannot be read or have changed since the audit.
    """
    backbone = stage1.classifier.backbone
    assert isinstance(backbone, Backbone), "load_bundle puts one there, with the folder that it came from"
    rows = ledger.rows(purpose)
    with full_precision(stage1.device):
        features = extract_features(
            rows,
            backbone.config,
            stage1.transform,
            store_folder=store_folder,
            device=stage1.device,
            batch_size=batch_size,
            on_progress=on_progress,
        )
        scores = predict_features(stage1.classifier.head, features.values, features.ids, device=stage1.device)
    return ledger.labelled(purpose, scores)
