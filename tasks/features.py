"""Task that computes the features of all labelled pictures with a backbone that is not trained any more."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.compute.choice import chosen_compute
from stage1_core.config import FrozenModel
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.transforms import EvalTransform
from stage1_core.digests import digest_of_bytes
from stage1_core.model.device import best_device
from stage1_core.model.extraction import extract_features as extract
from stage1_core.model.weights import backbone_digest
from stage1_core.splits import Purpose
from stage1_core.training.rows import FeatureRows
from tasks._device import device_slot
from tasks._progress import progress
from tasks._task import task
from tasks._workspace import feature_folder, store
from tasks.backbones import BackboneSource, backbone_config, stored
from tasks.data import load_ledger


class FeatureSet(FrozenModel):
    """Which features belong to a ledger. The vectors stay in the feature cache; here is what finds them there."""

    backbone: BackboneSource
    backbone_digest: str
    transform: EvalTransform
    ledger: ArtifactRef
    values_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the feature matrix: another machine's rounding gives another set, and what follows is computed anew."""


@task
def extract_features(backbone: BackboneSource, transform: EvalTransform, ledger: ArtifactRef) -> ArtifactRef:
    """Compute what the feature cache does not hold yet."""
    rows, config = load_ledger(ledger).samples, backbone_config(backbone)
    with device_slot() as device, progress("extracting features") as on_progress:
        features = extract(
            rows,
            config,
            transform,
            store_folder=feature_folder(),
            device=device,
            compute=chosen_compute(),
            on_progress=on_progress,
        )
    found = FeatureSet(
        backbone=backbone,
        backbone_digest=backbone_digest(config),
        transform=transform,
        ledger=ledger,
        values_digest=digest_of_bytes(np.ascontiguousarray(features.values).data),  # a memory map is not copied
    )
    return store().put_file(ArtifactKind.FEATURES, "features.json", found, inputs=[ledger, *stored(backbone)])


def feature_rows(ref: ArtifactRef, ledger: SplitLedger, purpose: Purpose) -> FeatureRows:
    """Features and labels of the rows of ``purpose``; what the cache lost meanwhile is computed again."""
    found = store().read(ref, FeatureSet)
    features = extract(
        ledger.rows(purpose),
        backbone_config(found.backbone),
        found.transform,
        store_folder=feature_folder(),
        device=best_device(),
        compute=chosen_compute(),
    )
    return FeatureRows.read(features, ledger, purpose)
