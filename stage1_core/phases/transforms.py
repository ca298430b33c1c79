"""The same head on the same pictures, cut in other ways."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stage1_core.config import FrozenModel
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.transforms import EvalTransform
from stage1_core.metrics.suite import TransformQuality, model_quality
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.classifier import predict_features
from stage1_core.model.extraction import Progress, extract_features
from stage1_core.model.head import Head
from stage1_core.splits import Purpose


class TransformTable(FrozenModel):
    """One row for each geometry, the released one first."""

    purpose: Purpose
    transforms: tuple[TransformQuality, ...]


def transform_table(
    transforms: Iterable[EvalTransform],
    backbone: BackboneConfig,
    head: Head,
    ledger: SplitLedger,
    *,
    store_folder: Path,
    device: str,
    on_progress: Progress | None = None,
) -> TransformTable:
    """Quality of ``head`` on the SELECT_MODEL rows in each of ``transforms``; features not stored yet are computed.

    A head that falls off in another geometry has learnt the geometry too: a service that cuts its pictures differently
    will not see the certified numbers.
    """
    rows = ledger.rows(Purpose.SELECT_MODEL)
    table = []
    for transform in transforms:
        features = extract_features(
            rows, backbone, transform, store_folder=store_folder, device=device, on_progress=on_progress
        )
        scores = predict_features(head, features.values, features.ids)
        quality = model_quality(ledger.labelled(Purpose.SELECT_MODEL, scores))
        table.append(TransformQuality(transform=_in_words(transform), model=quality))
    return TransformTable(purpose=Purpose.SELECT_MODEL, transforms=tuple(table))


def _in_words(transform: EvalTransform) -> str:
    """Kind and sizes: "letterbox, size_px 224"."""
    fields = transform.model_dump()
    return ", ".join([str(fields.pop("kind")), *(f"{name} {value}" for name, value in fields.items())])
