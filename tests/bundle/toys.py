"""The contents of a small real bundle: an untrained backbone, and a head that is sure of half of the pictures."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.special import logit

from stage1_core.acceptance import AcceptanceReport, FactCheck
from stage1_core.bundle.contents import BundleContents
from stage1_core.bundle.golden import GoldenCandidate
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.data.pictures import open_picture
from stage1_core.data.split_config import CutPool
from stage1_core.data.split_summary import SplitCell, SplitSummary
from stage1_core.data.transforms import ResizeCenterCrop
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig
from stage1_core.model.head import Head, HeadConfig, build_head
from stage1_core.policy import (
    GatePolicy,
    GatePolicyConfig,
    NoExit,
    ScrcPolicy,
    ScrcPolicyConfig,
    SoftmaxPolicy,
    SoftmaxPolicyConfig,
)
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Half, Purpose, Split
from tests.policy.gated import gated_rows
from tests.policy.pairs import pair_policy

BACKBONE = TimmBackboneConfig(model="test_efficientnet", weights=RandomWeights(seed=1))
TRANSFORM = ResizeCenterCrop(resize_px=40, crop_px=32)
LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


class RunConfig(FrozenModel):
    """Stands for a phase's configuration."""

    seed: int = 0


def toy_predictions(purpose: Purpose, rows: int, seed: int) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, rows)
    margin = generator.normal((2 * labels - 1) * 2.0, 1.5)
    ids = np.array([f"{purpose}/{row}" for row in range(rows)])
    scores = Scores(ids, np.stack([-margin / 2, margin / 2], axis=1))
    return Predictions(purpose, scores, labels, ids, np.full(rows, "toy"))


def fitted_policy() -> SoftmaxPolicy:
    policy = SoftmaxPolicyConfig().fit(
        toy_predictions(Purpose.SELECT_MODEL, 1500, 1),
        toy_predictions(Purpose.CERTIFY_UNCALIBRATED_POLICY, 1500, 2),
        RiskConstraint(),
    )
    assert isinstance(policy, SoftmaxPolicy)
    return policy


def gate_policy() -> GatePolicy:
    rng = np.random.default_rng(4)
    calibrate, order, certify = (
        gated_rows(rng, 1500, purpose)
        for purpose in (Purpose.FIT_CALIBRATOR, Purpose.SELECT_MODEL, Purpose.CERTIFY_POLICY)
    )
    policy = GatePolicyConfig(rest="stage_b").fit(order, certify, RiskConstraint(), calibrate_on=calibrate)
    assert isinstance(policy, GatePolicy)
    return policy


def gated_scrc_policy() -> ScrcPolicy:
    """Selects by the gate; its certified levels differ in lambda2."""
    rng = np.random.default_rng(4)
    order, certify = (
        gated_rows(rng, rows, purpose)
        for rows, purpose in ((1500, Purpose.SELECT_MODEL), (4000, Purpose.CERTIFY_UNCALIBRATED_POLICY))
    )
    return pair_policy(order, certify, RiskConstraint(), lambda1=0.95, levels=(0.9, 0.75, 0.6))


def scrc_policy() -> ScrcPolicy:
    """Of a head without a gate: selects by the energy of the class logits and the confidence."""
    policy = ScrcPolicyConfig().fit(
        toy_predictions(Purpose.SELECT_MODEL, 1500, 1),
        toy_predictions(Purpose.CERTIFY_UNCALIBRATED_POLICY, 3000, 2),
        RiskConstraint(),
    )
    assert isinstance(policy, ScrcPolicy)
    assert policy.selector.signal == "energy"
    return policy


def no_exit_policy() -> NoExit:
    policy = SoftmaxPolicyConfig().fit(
        toy_predictions(Purpose.SELECT_MODEL, 40, 1),
        toy_predictions(Purpose.CERTIFY_UNCALIBRATED_POLICY, 40, 2),
        RiskConstraint(),
    )
    assert isinstance(policy, NoExit)
    return policy


def draw_pictures(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(7)
    paths = []
    for index in range(count):
        coarse = generator.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        path = folder / f"{index:03}.png"
        Image.fromarray(coarse).resize((72, 48), Image.Resampling.BILINEAR).save(path)
        paths.append(path)
    return paths


def spread_head(paths: list[Path], threshold: float) -> Head:
    """A head whose margins lie evenly around zero, half of them beyond the threshold."""
    backbone = load_backbone(BACKBONE, device="cpu")
    head = build_head(backbone.hidden, HeadConfig(hidden=16), seed=3).eval()
    pixels = torch.stack([TRANSFORM.apply(open_picture(path)) for path in paths])
    with torch.inference_mode():
        logits = head(backbone(pixels)).class_logits
    margin = logits[:, 1] - logits[:, 0]
    scale = np.log(threshold / (1 - threshold)) / (margin - margin.median()).abs().median()
    with torch.no_grad():
        head.classes.weight *= scale
        centre = scale * logits.median(dim=0).values
        head.classes.bias.mul_(scale).sub_(centre)
        head.classes.bias[1] -= scale * margin.median() - (centre[1] - centre[0])
    return head


def gated_head(paths: list[Path], edge: float) -> Head:
    """A head whose class margins, gate logits and auxiliary margins are spread, the gate's around ``edge``."""
    backbone = load_backbone(BACKBONE, device="cpu")
    head = build_head(backbone.hidden, HeadConfig(hidden=16, gated=True), seed=3).eval()
    pixels = torch.stack([TRANSFORM.apply(open_picture(path)) for path in paths])
    with torch.no_grad():
        head.gate.weight.copy_(head.classes.weight.sum(dim=0))  # a fresh gate ignores the picture
        output = head(backbone(pixels))
        scale = 2 / output.gate_logits.std()
        head.gate.weight *= scale
        head.gate.bias.mul_(scale).add_(edge - scale * output.gate_logits.median())
        for layer, logits in ((head.classes, output.class_logits), (head.auxiliary, output.aux_logits)):
            margin = logits[:, 1] - logits[:, 0]
            scale = 3 / margin.std()
            layer.weight *= scale
            layer.bias.sub_(logits.median(dim=0).values).mul_(scale)
            layer.bias[1] -= scale * (margin.median() - logits.median(dim=0).values @ torch.tensor([-1.0, 1.0]))
    return head


def toy_splits() -> SplitSummary:
    cell = SplitCell(split=Split.VAL_CALIB, half=Half.CERTIFY, source="toy", negatives=700, positives=800, unlabeled=0)
    return SplitSummary(
        config=CutPool(),
        ledger_digest="1" * 64,
        splits=(),
        cells=(cell,),
        rows_digests=dict.fromkeys(Purpose, "2" * 64),
        source_digests={"toy": "3" * 64},
    )


def toy_contents(folder: Path) -> BundleContents:
    pictures = draw_pictures(folder / "pictures", 24)
    (folder / "metrics.csv").write_text("Epoch,Train_Loss\n1,0.5\n")
    policy = fitted_policy()
    return BundleContents(
        release=ReleaseConfig(golden_pictures=8),
        config=RunConfig(),
        backbone=BACKBONE,
        head=spread_head(pictures, policy.exit_threshold),
        transform=TRANSFORM,
        policy=policy,
        splits=toy_splits(),
        acceptance=AcceptanceReport.of("baseline", (FactCheck(name="toy", holds=True, evidence="seen"),)),
        metrics_csv=folder / "metrics.csv",
        golden_candidates=[GoldenCandidate(path, index % 2) for index, path in enumerate(pictures)],
        figures={"sweep.png": pictures[0]},
    )


def gated_contents(folder: Path) -> BundleContents:
    """The same with a gated head and a gate policy that leaves the rest to stage B."""
    contents = toy_contents(folder)
    policy = gate_policy()
    edge = (logit(policy.gate_threshold) - policy.calibrator_params.offset) / policy.calibrator_params.slope
    head = gated_head([candidate.path for candidate in contents.golden_candidates], edge)
    return dataclasses.replace(contents, policy=policy, head=head)


def gated_scrc_contents(folder: Path) -> BundleContents:
    """The same with an SCRC policy, and gate logits spread around its lambda1."""
    contents = toy_contents(folder)
    policy = gated_scrc_policy()
    edge = (logit(policy.lambda1) - policy.selector.offset) / policy.selector.signal_slope
    head = gated_head([candidate.path for candidate in contents.golden_candidates], edge)
    return dataclasses.replace(contents, policy=policy, head=head)
