"""Do the rules of the search hold where they were not chosen? Coverage on random populations that no choice has seen.

The populations of `benchmarks.coverage` are those on which starts, handicaps and paths were chosen. Here each
population is drawn at random: how far the classes lie apart, how heavy their tails are, how rare positives are, how
over- or underconfident the model is and for which class, how many positives are missed with confidence, how many labels
are wrong, and whether there is a gate and what it knows. 2,000 rows of VAL_SELECT and 2,000 of VAL_CALIB, as there.

Run: ``python -m benchmarks.unseen`` (half an hour on one core; ``--populations 5`` for a glance).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.certificate import mapie_holm, mapie_sequence
from benchmarks.coverage import CONSTRAINT, Method, Tally, mapie, scrc, softmax, tallied
from benchmarks.populations import any_population
from stage1_core.policy.scrc_paths import ScrcGrid
from stage1_core.predictions import Float

REFERENCE = "SCRC policy"
METHODS: Mapping[str, Method] = {
    REFERENCE: scrc(),
    "SCRC policy, 200 levels": scrc(grid=ScrcGrid(size=200)),
    "SCRC policy, no handicap": scrc(grid=ScrcGrid(pair_handicap=0.0)),
    "softmax policy": softmax(),
    "softmax policy, 200 levels": softmax(levels=200),
    "MAPIE, Bonferroni-Holm": mapie(mapie_holm),
    "MAPIE, learnt sequence": mapie(mapie_sequence),
}


def tallies(number: int, draws: int) -> dict[str, Tally]:
    """What each method does on the draws of the population of this number."""
    rng = np.random.default_rng([20261121, number])
    _, made = tallied(any_population(rng), METHODS, draws, rng)
    return made


def table(found: Sequence[Mapping[str, Tally]]) -> list[str]:
    """One row for each method, over all populations."""
    lines = [
        f"| method | certified | broken | most broken | coverage | FPR on exited | {REFERENCE} gains | it is behind |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in METHODS:
        made = [one[name] for one in found]
        draws = sum(len(tally.coverages) for tally in made)
        certified = sum(len(tally.risks) for tally in made) / draws
        broken = [sum(risk > CONSTRAINT.max_risk for risk in tally.risks) for tally in made]
        gains = _means([one[REFERENCE] for one in found]) - _means(made)
        low, high = (
            stats.t.interval(0.95, len(gains) - 1, gains.mean(), stats.sem(gains)) if gains.any() else (0.0, 0.0)
        )
        alarms = np.mean([alarm for tally in made for alarm in tally.false_alarms])
        behind = sum(_behind(one[REFERENCE], one[name]) for one in found)
        lines.append(
            f"| {name} | {certified:.3f} | {sum(broken) / draws:.3f} | {max(broken)} of {draws // len(made)} "
            f"| {_means(made).mean():.3f} | {100 * alarms:.1f} % "
            f"| {gains.mean():+.3f} ({low:+.3f} to {high:+.3f}) | {behind} of {len(made)} |"
        )
    return lines


def _means(made: Sequence[Tally]) -> Float:
    """``(populations,)`` mean coverages."""
    return np.array([np.mean(tally.coverages) for tally in made])


def _behind(ours: Tally, theirs: Tally) -> bool:
    """Whether the other is ahead by more than chance explains, two-sided, at 5 % for each population."""
    gains = np.array(theirs.coverages) - np.array(ours.coverages)
    return bool(gains.mean() > stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--populations", type=int, default=60, help="random populations (default: 60)")
    parser.add_argument("--draws", type=int, default=20, help="draws of every population (default: 20)")
    options = parser.parse_args()
    print(f"{options.populations} populations, {options.draws} draws of each", flush=True)
    found = []
    for number in range(options.populations):
        found.append(tallies(number, options.draws))
        means = ", ".join(f"{name} {np.mean(tally.coverages):.3f}" for name, tally in found[-1].items())
        print(f"{number}: {means}", flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
