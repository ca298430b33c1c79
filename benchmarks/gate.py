"""Learned gates and SCRC against the softmax threshold: the same pictures, promise and rows, over several divisions.

Run: `stage1 demo` once, which renders the pictures, then `python -m benchmarks.gate --seeds 5` (about a minute a seed).

Each seed divides the demo's drives anew. On each division a plain head and two gated heads are trained, every policy is
fitted and certified as its phase would do it, and what it does is counted on the test rows. "softmax, half the rows" is
the softmax policy certified on the half of VAL_CALIB that a gate certifies on: what is lost to calibration alone. SCRC,
which calibrates on VAL_SELECT, certifies on both halves; on the plain head it selects by the energy.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from deployments.recipes import gate_demo, gate_demo_selectivenet
from stage1_core.data.features import Features
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.prepare import prepare
from stage1_core.metrics.risk import RiskEstimate, coverage, fnr_on_exited, fpr_on_exited
from stage1_core.metrics.suite import ModelQuality, model_quality
from stage1_core.model.classifier import predict_features
from stage1_core.model.device import best_device
from stage1_core.model.extraction import extract_features
from stage1_core.model.head import Head, HeadConfig
from stage1_core.phases.adoption import adoption_report
from stage1_core.phases.gate import GateConfig
from stage1_core.policy import AnyPolicy, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.comparison import Side, at_matched_fpr, compare
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from stage1_core.training.config import TrainingConfig
from stage1_core.training.fitting import fit_head
from stage1_core.training.rows import FeatureRows
from tasks._workspace import feature_folder, inspection_folder


@dataclass(slots=True)
class Tally:
    """What one policy did over all divisions."""

    certified: int = 0
    adopted: int = 0
    coverages: list[float] = field(default_factory=list)
    missed: RiskEstimate = field(default_factory=lambda: RiskEstimate(0, 0))
    false_alarms: RiskEstimate = field(default_factory=lambda: RiskEstimate(0, 0))
    augrc: list[float] = field(default_factory=list)

    def add(self, policy: AnyPolicy, rows: Predictions, augrc: float | None, *, adopted: bool) -> None:
        """Count ``policy`` on the test ``rows``; ``augrc`` is that of the score which it thresholds."""
        decisions = policy.decide(rows.scores)
        exits = coverage(decisions, rows.labels)
        self.certified += policy.can_exit
        self.adopted += adopted
        self.coverages.append(exits.events / exits.trials)
        self.missed = _sum(self.missed, fnr_on_exited(decisions, rows.labels))
        self.false_alarms = _sum(self.false_alarms, fpr_on_exited(decisions, rows.labels))
        if augrc is not None:
            self.augrc.append(augrc)


class Division:
    """One way to divide the drives, with the features of all of them."""

    def __init__(self, config: GateConfig, seed: int) -> None:
        data = config.data.model_copy(update={"split": config.data.split.model_copy(update={"seed": seed})})
        self.config = config
        self.ledger: SplitLedger = prepare(data, inspections=inspection_folder()).ledger
        self.features: Features = extract_features(
            self.ledger.samples, config.backbone, config.transform, store_folder=feature_folder(), device=best_device()
        )

    def head(self, shape: HeadConfig, training: TrainingConfig) -> Head:
        """Trained on this division."""
        fit_rows, select_rows = (
            FeatureRows.read(self.features, self.ledger, purpose)
            for purpose in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL)
        )
        groups = self.ledger.rows(Purpose.FIT_WEIGHTS)["group"].to_numpy(dtype=np.str_)
        with tempfile.TemporaryDirectory() as place:
            head, _ = fit_head(shape, training, fit_rows, groups, select_rows, Path(place), identity="benchmark")
        return head

    def predictions(self, head: Head, *purposes: Purpose) -> list[Predictions]:
        """Of the rows of each purpose."""
        rows = [FeatureRows.read(self.features, self.ledger, purpose) for purpose in purposes]
        return [
            self.ledger.labelled(part.purpose, predict_features(head, part.features.numpy(), part.ids)) for part in rows
        ]


def policies(division: Division) -> Iterator[tuple[str, AnyPolicy, Predictions, float | None, bool]]:
    """(name, policy, test rows, AUGRC of its score, whether its phase would adopt it)."""
    config = division.config
    plain = division.head(config.previous.head, config.previous.training)
    order, both, half, final = division.predictions(
        plain,
        Purpose.SELECT_MODEL,
        Purpose.CERTIFY_UNCALIBRATED_POLICY,
        Purpose.CERTIFY_POLICY,
        Purpose.FINAL_EVALUATION,
    )
    softmax = SoftmaxPolicyConfig().fit(order, both, config.constraint)
    incumbent = Side("softmax", softmax, order)
    augrc = model_quality(final).augrc
    yield "softmax", softmax, final, augrc, False
    yield "softmax, half the rows", SoftmaxPolicyConfig().fit(order, half, config.constraint), final, augrc, False
    yield "SCRC", ScrcPolicyConfig().fit(order, both, config.constraint), final, augrc, False
    for name, recipe in (("correctness gate", gate_demo()), ("SelectiveNet gate", gate_demo_selectivenet())):
        head = division.head(recipe.head, recipe.training)
        order, calibrate, half, both, final = division.predictions(
            head,
            Purpose.SELECT_MODEL,
            Purpose.FIT_CALIBRATOR,
            Purpose.CERTIFY_POLICY,
            Purpose.CERTIFY_UNCALIBRATED_POLICY,
            Purpose.FINAL_EVALUATION,
        )
        gate = recipe.policy.fit(order, half, config.constraint, calibrate_on=calibrate)
        matched = Side(name, at_matched_fpr(gate, order, incumbent), order)
        compared = compare(
            incumbent,
            matched,
            recipe.comparison.bootstrap,
            purpose=Purpose.SELECT_MODEL,
            exact_confidence=config.constraint.confidence,
        )
        adopted = adoption_report(recipe.comparison, compared).passed
        quality: ModelQuality = model_quality(final)
        yield name, gate, final, quality.augrc_gate, adopted
        scrc = ScrcPolicyConfig().fit(order, both, config.constraint)
        yield f"SCRC with the {name}", scrc, final, quality.augrc, False
        every_row = SoftmaxPolicyConfig().fit(order, both, config.constraint)
        yield f"{name}'s classes by softmax", every_row, final, quality.augrc, False
        yield (
            f"{name}'s classes by softmax, half",
            SoftmaxPolicyConfig().fit(order, half, config.constraint),
            final,
            quality.augrc,
            False,
        )


def main() -> None:
    """Print one line for each policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of divisions of the data")
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    tallies: dict[str, Tally] = defaultdict(Tally)
    for seed in range(seeds):
        for name, policy, rows, augrc, adopted in policies(Division(gate_demo(), seed)):
            tallies[name].add(policy, rows, augrc, adopted=adopted)
            print(f"seed {seed}: {name}: coverage {tallies[name].coverages[-1]:.3f}", flush=True)
    print(f"\n{seeds} divisions, coverage 0 where nothing is certified; FNR and FPR on exited, of the test rows\n")
    print(f"{'policy':44}{'certified':>10}{'coverage':>10}{'FNR':>16}{'FPR':>16}{'AUGRC':>9}{'adopted':>9}")
    for name, tally in tallies.items():
        print(
            f"{name:44}{tally.certified:>7}/{seeds:<2}{np.mean(tally.coverages):>10.3f}{_shown(tally.missed):>16}"
            f"{_shown(tally.false_alarms):>16}{np.mean(tally.augrc):>9.4f}{tally.adopted:>6}/{seeds:<2}"
        )


def _sum(one: RiskEstimate, other: RiskEstimate) -> RiskEstimate:
    return RiskEstimate(one.events + other.events, one.trials + other.trials)


def _shown(risk: RiskEstimate) -> str:
    return "undefined" if risk.rate is None else f"{risk.events}/{risk.trials} {risk.rate:.2%}"


if __name__ == "__main__":
    main()
