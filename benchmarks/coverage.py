"""How much coverage each way to certify draws from the same rows, and how often it breaks the promise.

Three tables. *Searches*: one threshold on the confidence, found in different ways, MAPIE's among them. *Rules*: what is
thresholded, where the head has a gate. *Sides*: one pair of thresholds or two, under a guard on false alarms. Every
method sees the same draws: 2,000 rows of VAL_SELECT and 2,000 of VAL_CALIB. Risks and coverages are those of the
released rule on 200,000 other rows; "broken" counts rules whose true FNR on exited exceeds 2 %. Coverage is 0 where
nothing is certified. "Hindsight" is the best threshold, or pair, that keeps the ceiling on the 200,000 rows: no method.

Run: ``python -m benchmarks.coverage`` (an hour on one core; ``--draws 10`` for a glance).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import binom

from benchmarks.certificate import mapie_holm, mapie_sequence
from benchmarks.populations import WITH_GATE, WITHOUT_GATE, Population
from stage1_core.metrics.risk import coverage, fnr_on_exited, fpr_on_exited
from stage1_core.policy import GatePolicyConfig, NoExit, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.certify import Decides, fixed_sequence
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.scrc_paths import ScrcGrid
from stage1_core.policy.softmax import FixedGrid, QuantileGrid, ThresholdExit
from stage1_core.policy.start import likeliest_start, predicted_powers
from stage1_core.predictions import Boolean, Decisions, Float, Integer, Predictions
from stage1_core.splits import Purpose

ROWS, TRUTH_ROWS = 2000, 200_000
CONSTRAINT = RiskConstraint()
GUARDED = RiskConstraint(max_fpr_on_exited=0.05)

Method = Callable[[Predictions, Predictions], Decides | None]
"""From ordering and certifying rows to an exit rule, or None for "no exit"."""


@dataclass
class Tally:
    """What one method did over all draws."""

    risks: list[float] = field(default_factory=list)
    false_alarms: list[float] = field(default_factory=list)
    coverages: list[float] = field(default_factory=list)

    def add(self, rule: Decides | None, truth: Predictions) -> None:
        """Look a rule up in the population."""
        if rule is None:
            self.coverages.append(0.0)
            return
        decisions = rule.decide(truth.scores)
        self.coverages.append(coverage(decisions, truth.labels).rate or 0.0)
        self.risks.append(fnr_on_exited(decisions, truth.labels).rate or 0.0)
        self.false_alarms.append(fpr_on_exited(decisions, truth.labels).rate or 0.0)

    def line(self, population: str, name: str) -> str:
        """One row of the table."""
        draws = len(self.coverages)
        broken = sum(risk > CONSTRAINT.max_risk for risk in self.risks)
        mean, error = np.mean(self.coverages), np.std(self.coverages) / np.sqrt(draws)
        alarms = f"{100 * np.mean(self.false_alarms):.1f} %" if self.false_alarms else "-"
        return (
            f"| {population} | {name} | {len(self.risks) / draws:.2f} | {broken / draws:.3f} "
            f"| {mean:.3f} ± {error:.3f} | {alarms} |"
        )


def softmax(constraint: RiskConstraint = CONSTRAINT, *, levels: int = 50) -> Method:
    """Ours: quantiles of the confidence, likeliest start."""
    config = SoftmaxPolicyConfig(grid=QuantileGrid(size=levels))
    return lambda order, certify: _exits(config.fit(order, certify, constraint))


def scrc(constraint: RiskConstraint = CONSTRAINT, grid: ScrcGrid | None = None) -> Method:
    """Ours: pairs of selection score and calibrated confidence, the most promising path."""
    config = ScrcPolicyConfig(grid=grid or ScrcGrid())
    return lambda order, certify: _exits(config.fit(order, certify, constraint))


def scrc_on_half(order: Predictions, certify: Predictions) -> Decides | None:
    """The same with one half of VAL_CALIB, as if the calibrators had taken the other."""
    half = np.arange(len(certify)) < len(certify) // 2
    return _exits(ScrcPolicyConfig().fit(order, certify.take(~half), CONSTRAINT))


def gate_on_half(order: Predictions, certify: Predictions) -> Decides | None:
    """Ours: one threshold on the gate, calibrated on one half of VAL_CALIB."""
    half = np.arange(len(certify)) < len(certify) // 2
    calibrate = replace(certify.take(half), purpose=Purpose.FIT_CALIBRATOR)
    return _exits(GatePolicyConfig().fit(order, certify.take(~half), CONSTRAINT, calibrate_on=calibrate))


def strictest_first(grid: FixedGrid | QuantileGrid) -> Method:
    """A sequence that begins with the strictest threshold."""
    return lambda order, certify: _first_to_last(grid.levels(order), order, certify)


def enough_trials(order: Predictions, certify: Predictions) -> Decides | None:
    """A sequence that begins where twice the positives are expected that zero misses need."""
    levels = QuantileGrid().levels(order)
    needed = 2 * np.ceil(np.log(CONSTRAINT.delta) / np.log1p(-CONSTRAINT.max_risk))
    positives = int(certify.labels.sum()) / max(1, int(order.labels.sum()))
    expected = [positives * np.sum((order.scores.confidence >= level) & (order.labels == 1)) for level in levels]
    start = int(np.argmax(np.array(expected) >= needed)) if max(expected) >= needed else len(levels) - 1
    return _first_to_last(levels[start:], order, certify)


def several_starts(*shares: float) -> Method:
    """Sequences that share delta: one from the likeliest start, the others from between there and the laxest level."""

    def method(order: Predictions, certify: Predictions) -> Decides | None:
        levels = QuantileGrid().levels(order)
        first = likeliest_start(_powers(levels, order, certify))
        starts = np.linspace(first, len(levels), len(shares), endpoint=False).astype(int)
        found = [
            _first_to_last(levels[start:], order, certify, confidence=1 - share * CONSTRAINT.delta)
            for start, share in zip(starts, shares, strict=True)
        ]
        return min((rule for rule in found if rule is not None), key=lambda rule: rule.exit_threshold, default=None)

    return method


def start_by_resampling(order: Predictions, certify: Predictions) -> Decides | None:
    """A sequence from the start, and with the step, of largest mean coverage over resampled certifying rows."""
    levels = QuantileGrid(size=100).levels(order)
    exits = order.scores.confidence[:, None] >= levels
    positive = order.labels == 1
    missed = (positive & (order.scores.likelier_class == 0))[:, None] & exits
    trials, misses = np.sum(exits & positive[:, None], 0), np.sum(missed, 0)
    passing = _resampled_passes(trials, misses, int(positive.sum()), int(certify.labels.sum()))
    gains = exits.mean(0)
    best: tuple[float, Integer] = (-1.0, np.arange(len(levels)))
    for step in (1, 2, 3, 5, 8, 12, 20):
        sequence = np.arange(len(levels) - 1, -1, -step)[::-1]
        reached = _last_passed(passing[:, sequence])
        means = np.where(reached >= 0, gains[sequence][np.maximum(reached, 0)], 0).mean(0)
        if means.max() > best[0]:
            best = (float(means.max()), sequence[int(np.argmax(means)) :])
    return _first_to_last(levels[best[1]], order, certify)


def mapie(threshold: Callable[[Predictions, Predictions], float | None]) -> Method:
    """MAPIE's controller, from `benchmarks.certificate`."""

    def method(order: Predictions, certify: Predictions) -> Decides | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = threshold(order, certify)
        return None if found is None else ThresholdExit(exit_threshold=found)

    return method


SEARCHES: Mapping[str, Method] = {
    "the ten thresholds of spec, strictest first": strictest_first(FixedGrid()),
    "50 quantiles, strictest first": strictest_first(QuantileGrid()),
    "start with twice the trials of zero misses": enough_trials,
    "likeliest start, 20 levels": softmax(levels=20),
    "**likeliest start, 50 levels (softmax policy)**": softmax(),
    "likeliest start, 200 levels": softmax(levels=200),
    "start and step by resampling": start_by_resampling,
    "two starts, .8 and .2 of delta": several_starts(0.8, 0.2),
    "three starts, delta / 3 each": several_starts(1 / 3, 1 / 3, 1 / 3),
    "MAPIE, Bonferroni-Holm": mapie(mapie_holm),
    "MAPIE, learnt sequence": mapie(mapie_sequence),
    "**SCRC policy**": scrc(),
}
RULES: Mapping[str, Method] = {
    "softmax policy": softmax(),
    "gate policy, calibrated on one half": gate_on_half,
    "MAPIE, Bonferroni-Holm, on the confidence": mapie(mapie_holm),
    "**SCRC policy**": scrc(),
    "SCRC policy, simple paths alone": scrc(grid=ScrcGrid(pair_handicap=1.0)),
    "SCRC policy, no handicap": scrc(grid=ScrcGrid(pair_handicap=0.0)),
    "SCRC policy, certified on one half": scrc_on_half,
}
SIDES: Mapping[str, Method] = {
    "softmax policy, no guard": softmax(),
    "softmax policy, FPR on exited <= 5 %": softmax(GUARDED),
    "SCRC policy, FPR on exited <= 5 %": scrc(GUARDED),
    "SCRC policy, positives sooner, FPR on exited <= 5 %": scrc(GUARDED, ScrcGrid(positives="sooner")),
}


def study(populations: Mapping[str, Population], methods: Mapping[str, Method], draws: int) -> Iterable[str]:
    """The rows of one table, population by population."""
    yield "| population | method | certified | broken | coverage | FPR on exited |"
    yield "|---|---|---|---|---|---|"
    for number, (name, population) in enumerate(populations.items()):
        truth, tallies = tallied(population, methods, draws, np.random.default_rng([20260101, number]))
        for method, tally in tallies.items():
            yield tally.line(name, method)
        yield f"| {name} | hindsight, one threshold on the confidence | | | {hindsight(truth):.3f} | |"


def tallied(
    population: Population, methods: Mapping[str, Method], draws: int, rng: np.random.Generator
) -> tuple[Predictions, dict[str, Tally]]:
    """The rows that stand for the population, and what each method did on the same draws of it."""
    truth = population.draw(rng, TRUTH_ROWS, Purpose.FINAL_EVALUATION)
    tallies = {method: Tally() for method in methods}
    for _ in range(draws):
        order = population.draw(rng, ROWS, Purpose.SELECT_MODEL)
        certify = population.draw(rng, ROWS, Purpose.CERTIFY_POLICY)
        for method, tally in tallies.items():
            tally.add(methods[method](order, certify), truth)
    return truth, tallies


def hindsight(truth: Predictions) -> float:
    """Coverage of the laxest threshold on the confidence that keeps the ceiling on ``truth``."""
    order = np.argsort(-truth.scores.confidence, kind="stable")
    positive = truth.labels[order] == 1
    missed = positive & (truth.scores.likelier_class[order] == 0)
    kept = np.cumsum(missed) <= CONSTRAINT.max_risk * np.cumsum(positive)
    return float((np.flatnonzero(kept).max(initial=-1) + 1) / len(truth))


def _exits(policy: Decides) -> Decides | None:
    return None if isinstance(policy, NoExit) else policy


def _first_to_last(
    levels: Float, order: Predictions, certify: Predictions, *, confidence: float = CONSTRAINT.confidence
) -> ThresholdExit | None:
    candidates = [(level, ThresholdExit(exit_threshold=level)) for level in levels.tolist()]
    promise = CONSTRAINT.model_copy(update={"confidence": confidence})
    result = fixed_sequence(candidates, certify, promise, order_rows_digest="")
    return None if result.best is None else candidates[result.best][1]


def _powers(levels: Float, order: Predictions, certify: Predictions) -> Float:
    made: Sequence[Decisions] = [ThresholdExit(exit_threshold=level).decide(order.scores) for level in levels.tolist()]
    return predicted_powers(made, order, certify.labels, CONSTRAINT)


def _resampled_passes(trials: Integer, misses: Integer, pool: int, certify_pool: int, draws: int = 300) -> Boolean:
    """``(draws, levels)``: which levels pass, on certifying rows from a posterior of the ordering ones."""
    step_misses, step_trials = np.diff(misses, prepend=0), np.diff(trials, prepend=0)
    believed = (step_trials + 0.5 / len(trials)) / (trials[-1] + 0.5)  # one miss more, spread like the positives
    cells = np.concatenate([step_trials - step_misses + 0.01, step_misses + believed, [pool - trials[-1] + 0.01]])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(certify_pool, rng.dirichlet(cells, size=draws))
    levels = len(trials)
    missed = np.cumsum(drawn[:, levels : 2 * levels], 1)
    tried = missed + np.cumsum(drawn[:, :levels], 1)
    passes: Boolean = (tried > 0) & (binom.cdf(missed, tried, CONSTRAINT.max_risk) <= CONSTRAINT.delta)
    return passes


def _last_passed(passing: Boolean) -> Integer:
    """``(draws, levels)``: for each start the last level before the first failure, -1 where the start fails."""
    reached = np.full(passing.shape, -1)
    following = np.full(len(passing), -1)
    for level in range(passing.shape[1] - 1, -1, -1):
        following = np.where(passing[:, level], np.maximum(following, level), -1)
        reached[:, level] = following
    return reached


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="draws of every population (default: 200)")
    parser.add_argument("--table", choices=("searches", "rules", "sides"), help="one of the tables (default: all)")
    options = parser.parse_args()
    tables = {
        "searches": (WITHOUT_GATE, SEARCHES),
        "rules": (WITH_GATE, RULES),
        "sides": ({**WITHOUT_GATE, **WITH_GATE}, SIDES),
    }
    for name, (populations, methods) in tables.items():
        if options.table in (None, name):
            print(f"\n{name}: {options.draws} draws", flush=True)
            for line in study(populations, methods, options.draws):
                print(line, flush=True)


if __name__ == "__main__":
    main()
