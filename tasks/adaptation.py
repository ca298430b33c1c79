"""Tasks that train on the backbone: without labels, and together with a head."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stage1_core.adaptation.arm import ArmConfig, SharedRecipe
from stage1_core.adaptation.config import ExploraConfig, UnlabeledConfig
from stage1_core.adaptation.outcomes import AdapterFacts, PretrainingReport
from stage1_core.adaptation.picture_arm import PictureArm
from stage1_core.adaptation.probe import LinearProbe
from stage1_core.adaptation.session import Pretrained, run_pretraining
from stage1_core.adaptation.unlabeled import UnlabeledPictures, unlabeled_pictures
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.loading import sensible_workers
from stage1_core.data.transforms import EvalTransform
from stage1_core.digests import identity_of
from stage1_core.errors import DataError
from stage1_core.model.adapters.adapted import merge
from stage1_core.model.adapters.files import load_adapter, save_adapter
from stage1_core.model.backbone import backbone_digest, load_backbone
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.phases.domain_adaptation import PRETRAINED, DomainAdaptationAcceptance, adaptation_report
from stage1_core.policy.arms import ArmCost
from stage1_core.training.picture_rows import PictureRows
from tasks._device import device_slot
from tasks._progress import OnProgress, progress
from tasks._task import effect, task
from tasks._workspace import checkpoint_folder, inspection_folder, store
from tasks.acceptance import ACCEPTANCE_FILE
from tasks.arms import TrainedRecipe, TrainedSeed, put_seed_head, seed_predictions, with_every_seed
from tasks.backbones import SEEN, BackboneSource, backbone_config, put_backbone, stored
from tasks.data import load_ledger


class PretrainedBackbone(FrozenModel):
    """What ExPLoRA gave."""

    backbone: ArtifactRef
    report: PretrainingReport
    cost: ArmCost


class Start(FrozenModel):
    """Where arms begin."""

    prefix: str
    """Of the names of the arms."""
    backbone: BackboneSource
    cost: ArmCost
    """Of getting there."""


class AdaptedRecipe(FrozenModel):
    """An arm, and what was trained of the backbone."""

    recipe: TrainedRecipe
    start: Start
    adapter: ArtifactRef
    """The first seed's."""
    facts: AdapterFacts


@effect
def fingerprint_unlabeled(config: UnlabeledConfig, ledger: ArtifactRef) -> str:
    """Digest of the pictures that there are to pretrain on now."""
    with progress("opening unlabeled pictures") as on_progress:
        return _unlabeled(config, ledger, on_progress).digest()


@task
def pretrain_backbone(
    config: ExploraConfig, backbone: BackboneConfig, transform: EvalTransform, ledger: ArtifactRef, fingerprint: str
) -> PretrainedBackbone:
    """Train on the backbone without labels (ExPLoRA), and keep the epoch that a linear probe finds best.

    ``fingerprint`` is that of the unlabeled pictures. Raises `DataError` where they have changed since it was taken.
    """
    unlabeled = _still(_unlabeled(config.unlabeled, ledger), fingerprint)
    identity = identity_of(config.digest(), backbone_digest(backbone), transform.digest(), fingerprint, ledger.sha256)
    with device_slot() as device, progress("pretraining") as on_progress:
        made = run_pretraining(
            load_backbone(backbone, device=device),
            unlabeled.rows,
            transform,
            LinearProbe(*_labelled_pictures(load_ledger(ledger), transform), config.probe),
            config,
            checkpoint_folder(identity),
            identity=identity,
            on_epoch=lambda epoch: on_progress(config.epochs if epoch.is_last else epoch.epoch, config.epochs),
        )
    return PretrainedBackbone(
        backbone=put_backbone(made.backbone.cpu(), [ledger]), report=made.report, cost=_cost(made)
    )


def starts(backbone: BackboneConfig, pretrained: PretrainedBackbone) -> list[Start]:
    """The original backbone, and the pretrained one where pretraining found anything better than the original."""
    found = [Start(prefix="", backbone=backbone, cost=ArmCost.nothing())]
    if pretrained.report.kept_epoch > 0:
        found.append(Start(prefix=PRETRAINED, backbone=pretrained.backbone, cost=pretrained.cost))
    return found


@task
def train_arm(
    arm: ArmConfig, shared: SharedRecipe, start: Start, transform: EvalTransform, ledger: ArtifactRef
) -> AdaptedRecipe:
    """Train one arm with every seed, and keep the first one's adapter; killed, it goes on where it was."""
    splits, name = load_ledger(ledger), f"{start.prefix}{arm.name}"
    inputs = [ledger, *stored(start.backbone)]
    with device_slot(), progress(f"training {name}") as on_progress:
        training = _picture_arm(arm, shared, start, transform, splits)
        trained = with_every_seed(training, arm.training.epochs, shared.seeds, on_progress)
    adapted, head, facts = training.released(trained[0])
    adapter = store().put(
        ArtifactKind.ADAPTER, lambda folder: save_adapter(adapted, folder), inputs=inputs, purposes=SEEN
    )
    runs = [
        TrainedSeed(
            seed=one.seed,
            rows=seed_predictions(splits, one.scores, inputs),
            cost=one.cost.after(start.cost),
            batch=one.batch,
        )
        for one in trained
    ]
    recipe = TrainedRecipe(name=name, runs=tuple(runs), head=put_seed_head(head, trained[0].log, [*inputs, adapter]))
    return AdaptedRecipe(recipe=recipe, start=start, adapter=adapter, facts=facts)


@task
def merge_adapter(adapted: AdaptedRecipe) -> ArtifactRef:
    """The backbone of an arm as a backbone like any other."""
    start = load_backbone(backbone_config(adapted.start.backbone), device="cpu")
    merged = merge(load_adapter(start, store().open(adapted.adapter)))
    return put_backbone(merged, [adapted.adapter, *stored(adapted.start.backbone)])


@task
def check_adaptation(
    config: DomainAdaptationAcceptance, pretrained: PretrainedBackbone, adapted: Sequence[AdaptedRecipe]
) -> ArtifactRef:
    """Whether what was trained is what it should be, arm by arm."""
    facts = {one.recipe.name: one.facts for one in adapted}
    report = adaptation_report(config, pretrained.report, facts)
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=[one.adapter for one in adapted])


def _unlabeled(
    config: UnlabeledConfig, ledger: ArtifactRef, on_progress: OnProgress | None = None
) -> UnlabeledPictures:
    splits = load_ledger(ledger)
    return unlabeled_pictures(splits, config, inspections=inspection_folder(), on_progress=on_progress)


def _still(pictures: UnlabeledPictures, fingerprint: str) -> UnlabeledPictures:
    if pictures.digest() != fingerprint:
        raise DataError("the unlabeled pictures have changed since this run began; start it again")
    return pictures


def _cost(made: Pretrained) -> ArmCost:
    return ArmCost(
        trainable_parameters=made.report.trainable_parameters,
        peak_memory_bytes=made.peak_memory_bytes,
        seconds=made.seconds,
    )


def _labelled_pictures(splits: SplitLedger, transform: EvalTransform) -> tuple[PictureRows, PictureRows]:
    """FIT_WEIGHTS and SELECT_MODEL pictures, as they are."""
    fit_rows, select_rows = (
        PictureRows.of(purpose, rows, transform, workers=sensible_workers(len(rows)))
        for purpose, rows in ((purpose, splits.rows(purpose)) for purpose in SEEN)
    )
    return fit_rows, select_rows


def _picture_arm(
    arm: ArmConfig, shared: SharedRecipe, start: Start, transform: EvalTransform, splits: SplitLedger
) -> PictureArm:
    backbone = backbone_config(start.backbone)
    identity = identity_of(arm.digest(), shared.digest(), backbone_digest(backbone), transform.digest(), splits.digest)
    fit_rows, select_rows = (splits.rows(purpose) for purpose in SEEN)
    return PictureArm(
        backbone=backbone,
        arm=arm,
        shared=shared,
        transform=transform,
        fit_rows=fit_rows,
        select_rows=select_rows,
        folder=checkpoint_folder(identity),
        identity=identity,
        threads=torch.get_num_threads(),
        workers=sensible_workers(len(fit_rows)),
    )
