"""Conformal risk training against cross-entropy with the same certificate behind it: what exits on fresh rows.

Run: `stage1 demo` once, which renders the pictures, then `python -m benchmarks.conformal_training` (some
minutes on one core; `--settings clean outliers` needs no pictures).

Each seed draws a population, or divides the demo's drives, anew; the recipe's weights were tuned on seeds 0 to 3 of the
simulated ones, so these are not among the default. On the same rows heads are trained that differ in
their objective alone, a softmax policy is certified behind each, and what it does is counted on fresh rows. A head can
buy coverage with false alarms, so coverage is shown a second time for policies that are certified together with a
guard of 5 % on the FPR on exited.

- clean: two Gaussian classes, a linear head; cross-entropy is the right loss here, there is nothing to gain.
- outliers: the same with .6 % of the positives and 2 % of the negatives far on the other side, which no line can get
  right. Cross-entropy turns towards them; a threshold that may miss 2 % need not care.
- demo: the head of the demo's recipe on the features of rendered scenes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from benchmarks.gate import Division
from deployments.recipes import gate_demo
from stage1_core.metrics.risk import RiskEstimate, coverage, fnr_on_exited, fpr_on_exited
from stage1_core.metrics.suite import model_quality
from stage1_core.model.classifier import predict_features
from stage1_core.model.head import HeadOutput
from stage1_core.policy import AnyPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Float, Integer, Predictions
from stage1_core.splits import Purpose
from stage1_core.training.config import TrainingConfig, conformal_risk_training, selective_training
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.rows import FeatureRows
from stage1_core.training.state import load_best

FEATURES = 8
ROWS = {
    Purpose.FIT_WEIGHTS: 3000,
    Purpose.SELECT_MODEL: 2000,
    Purpose.CERTIFY_UNCALIBRATED_POLICY: 6000,
    Purpose.FINAL_EVALUATION: 20000,
}
JUDGED = (Purpose.SELECT_MODEL, Purpose.CERTIFY_UNCALIBRATED_POLICY, Purpose.FINAL_EVALUATION)
ARMS = {
    "cross-entropy": conformal_risk_training().model_copy(update={"objective": CrossEntropyConfig()}),
    "conformal risk": conformal_risk_training(),
    "cross-entropy, its own recipe": selective_training(),
}
"""The others are compared with the first, which differs from the second in its objective alone; the third has smaller
batches, fewer epochs, and keeps the epoch that AUGRC picks."""
PROMISE, GUARDED = RiskConstraint(), RiskConstraint(max_fpr_on_exited=0.05)

Draw = Callable[[np.random.Generator, Integer], Float]
Trial = Callable[[TrainingConfig], Sequence[Predictions]]
"""Trains a head on the rows of one seed and predicts those of `JUDGED`."""


class Linear(nn.Module):
    """A head that can only draw a line."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        weights = np.random.default_rng(seed).normal(scale=0.1, size=(2, FEATURES))
        self.classes = nn.Linear(FEATURES, 2)
        with torch.no_grad():
            self.classes.weight.copy_(torch.from_numpy(weights))
            self.classes.bias.zero_()

    def forward(self, features: Tensor) -> HeadOutput:
        """``(n, 8)`` features."""
        return HeadOutput(self.classes(features))


def clean(draw: np.random.Generator, labels: Integer) -> Float:
    """Two Gaussians that differ in two of the features."""
    values: Float = draw.normal(size=(len(labels), FEATURES))
    values[:, :2] += (2 * labels - 1)[:, None] * np.array([1.8, 1.1])
    return values


def outliers(draw: np.random.Generator, labels: Integer) -> Float:
    """The same, with a few rows that look like the clearest of the other class."""
    values = clean(draw, labels)
    far = draw.random(len(labels)) < np.where(labels == 1, 0.006, 0.02)
    values[far, 0] = np.where(labels[far] == 1, -12, 12) + draw.normal(size=int(far.sum()))
    return values


def simulated(population: Draw, seed: int) -> Trial:
    """Rows of ``population``, half of them positive, and a linear head."""
    rows = {}
    for place, (purpose, count) in enumerate(ROWS.items()):
        draw = np.random.default_rng([seed, place])
        labels = draw.integers(0, 2, count)
        ids = np.array([f"{purpose} {index}" for index in range(count)])
        rows[purpose] = FeatureRows.of(purpose, ids, population(draw, labels).astype(np.float32), labels)

    def trial(training: TrainingConfig) -> Sequence[Predictions]:
        faster = training.model_copy(update={"seed": seed, "optimizer": AdamWConfig(lr_head=1e-2)})
        head = Linear(seed)
        *_, last = train(head, rows[Purpose.FIT_WEIGHTS], rows[Purpose.SELECT_MODEL], faster)
        load_best(head, last.state(), faster.selection.metric)
        return [_predicted(head, rows[purpose]) for purpose in JUDGED]

    return trial


def demo(seed: int) -> Trial:
    """A division of the demo's drives, and the head of its recipe."""
    division = Division(gate_demo(), seed)

    def trial(training: TrainingConfig) -> Sequence[Predictions]:
        head = division.head(division.config.previous.head, training.model_copy(update={"seed": seed}))
        return division.predictions(head, *JUDGED)

    return trial


SETTINGS: dict[str, Callable[[int], Trial]] = {
    "clean": lambda seed: simulated(clean, seed),
    "outliers": lambda seed: simulated(outliers, seed),
    "demo": demo,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one arm did with the rows of one seed."""

    policy: AnyPolicy
    coverage: float
    guarded_coverage: float
    """With the guard on false alarms."""
    missed: RiskEstimate
    false_alarms: RiskEstimate
    augrc: float
    accuracy: float
    seconds: float
    """Of the training."""


def outcomes(trial: Trial) -> list[Outcome]:
    """One for each of `ARMS`, on the same rows."""
    made: list[Outcome] = []
    for training in ARMS.values():
        began = time.perf_counter()
        order, certify, final = trial(training)
        seconds = time.perf_counter() - began
        policy, guarded = (SoftmaxPolicyConfig().fit(order, certify, promise) for promise in (PROMISE, GUARDED))
        decisions, quality = policy.decide(final.scores), model_quality(final)
        assert quality.augrc is not None
        assert quality.accuracy is not None
        made.append(
            Outcome(
                policy,
                _rate(coverage(decisions, final.labels)),
                _rate(coverage(guarded.decide(final.scores), final.labels)),
                fnr_on_exited(decisions, final.labels),
                fpr_on_exited(decisions, final.labels),
                quality.augrc,
                quality.accuracy,
                seconds,
            )
        )
    return made


def show(name: str, found: Sequence[Sequence[Outcome]]) -> None:
    """One line for each arm, over all seeds."""
    print(f"\n{name}: {len(found)} seeds, coverage 0 where nothing is certified; ± one standard error\n")
    print(
        f"{'objective':31}{'certified':>10}{'coverage':>16}{'guarded':>16}{'FNR on exited':>20}{'FPR on exited':>20}"
        f"{'AUGRC':>8}{'accuracy':>9}{'s':>6}"
    )
    for place, arm in enumerate(ARMS):
        runs = [made[place] for made in found]
        print(
            f"{arm:31}{sum(run.policy.can_exit for run in runs):>7}/{len(runs):<2}"
            f"{_mean([run.coverage for run in runs]):>16}{_mean([run.guarded_coverage for run in runs]):>16}"
            f"{_pooled([run.missed for run in runs]):>20}{_pooled([run.false_alarms for run in runs]):>20}"
            f"{np.mean([run.augrc for run in runs]):>8.4f}{np.mean([run.accuracy for run in runs]):>9.4f}"
            f"{np.mean([run.seconds for run in runs]):>6.1f}"
        )
    print("\npaired differences from the first, 95 % t interval")
    for place, arm in list(enumerate(ARMS))[1:]:
        pairs = [(made[place], made[0]) for made in found]
        gain = _interval([ours.coverage - theirs.coverage for ours, theirs in pairs])
        guarded = _interval([ours.guarded_coverage - theirs.guarded_coverage for ours, theirs in pairs])
        accuracy = _interval([ours.accuracy - theirs.accuracy for ours, theirs in pairs])
        print(f"{arm:31}coverage {gain}, guarded {guarded}, accuracy {accuracy}")


def main() -> None:
    """Print a table for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="draws of each population, divisions of the demo")
    parser.add_argument("--first-seed", type=int, default=100, help="the others follow it")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="which to measure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.settings:
        found = []
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            found.append(outcomes(SETTINGS[name](seed)))
            print(f"{name}, seed {seed}: coverage", *(f"{made.coverage:.3f}" for made in found[-1]), flush=True)
        show(name, found)


def _predicted(head: nn.Module, rows: FeatureRows) -> Predictions:
    scores = predict_features(head, rows.features.numpy(), rows.ids)
    return Predictions(rows.purpose, scores, rows.labels, rows.ids, np.full(len(rows.ids), "simulated"))


def _rate(risk: RiskEstimate) -> float:
    return risk.events / risk.trials


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {stats.sem(values):.3f}"


def _interval(values: Sequence[float]) -> str:
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return f"{np.mean(values):+.3f} ({np.mean(values) - half:+.3f} to {np.mean(values) + half:+.3f})"


def _pooled(risks: Sequence[RiskEstimate]) -> str:
    events, trials = sum(risk.events for risk in risks), sum(risk.trials for risk in risks)
    return f"{events}/{trials} {events / trials:.2%}" if trials else "undefined"


if __name__ == "__main__":
    main()
