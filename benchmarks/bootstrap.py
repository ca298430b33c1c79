"""The bootstrap against naive loops on the same rows, and AUGRC against a loop over thresholds, in one run.

Five numbers of 100,000 independent rows, AUGRC, NLL, Brier score, FNR on exited and coverage, from 1,000 stratified
resamples with BCa intervals. The naive loops, one for each number, draw row numbers, gather the arrays and call the
public metric function; they neither stratify nor compute intervals, and are timed on fewer resamples and scaled. The
loop over thresholds has the form of generalized_risk_stats in fd-shifts: one pass in Python over a million sorted rows,
a point of the curve at each distinct confidence, then a trapezoid. Peak memory is that of a fresh process (ru_maxrss),
which draws the rows and runs the bootstrap, interpreter and libraries included.

A resample takes about 0.3 ms: 0.14 to draw its counts, 0.08 for the running totals of AUGRC, 0.05 for the matrix
product of the other four; some 0.06 s are spent once, a third of them to name clusters.

Run: ``python -m benchmarks.bootstrap`` (under a minute on one core), ``--quick`` for a tenth of the naive work. Seeds
are fixed; times are of this process on one thread, taken in turns, and are the machine's.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from stage1_core.metrics.bootstrap import BootstrapConfig, Resampled, bootstrap
from stage1_core.metrics.proper_scores import brier, nll
from stage1_core.metrics.risk import coverage, fnr_on_exited
from stage1_core.metrics.risk_coverage import augrc
from stage1_core.metrics.statistics import augrc_of, brier_of, nll_of, ratio_of
from stage1_core.predictions import Boolean, Decisions, Float, Integer, Text

ROWS, RESAMPLES, RANKED_ROWS = 100_000, 1000, 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Independent rows of a calibrated model with one error in ten."""

    labels: Integer
    logits: Float
    probability: Float
    confidence: Float
    failure: Boolean
    decisions: Decisions
    ids: Text

    @staticmethod
    def draw(n: int) -> Rows:
        """``n`` rows; those exit whose likelier class has a probability of .9."""
        rng = np.random.default_rng(20260201)
        labels = rng.integers(0, 2, n)
        margin = 2.6 * rng.normal(np.where(labels == 1, 1.3, -1.3))
        confidence = expit(np.abs(margin))
        return Rows(
            labels,
            np.stack([-margin / 2, margin / 2], axis=1),
            expit(margin),
            confidence,
            (margin >= 0) != (labels == 1),
            Decisions.of(confidence >= 0.9, margin >= 0),
            np.char.add("street/picture ", np.arange(n).astype(np.str_)),
        )


def ours(rows: Rows) -> Resampled:
    """All resamples and intervals, from raw rows."""
    statistics = {
        "augrc": augrc_of(rows.confidence, rows.failure),
        "nll": nll_of(rows.logits, rows.labels),
        "brier": brier_of(rows.probability, rows.labels),
        "fnr_on_exited": ratio_of(*fnr_on_exited.masks(rows.decisions, rows.labels)),
        "coverage": ratio_of(*coverage.masks(rows.decisions, rows.labels)),
    }
    config = BootstrapConfig(resamples=RESAMPLES)
    return bootstrap(statistics, strata=rows.labels, clusters=rows.ids, config=config, generator=config.generator())


def naive(rows: Rows, resamples: int) -> dict[str, list[float | None]]:
    """The same numbers, one number and one resample after the other."""
    rng = np.random.default_rng(0)
    decided = rows.decisions.prediction_set
    metrics: dict[str, Callable[[Integer], float | None]] = {
        "augrc": lambda drawn: augrc(rows.confidence[drawn], rows.failure[drawn]),
        "nll": lambda drawn: nll(rows.logits[drawn], rows.labels[drawn]),
        "brier": lambda drawn: brier(rows.probability[drawn], rows.labels[drawn]),
        "fnr_on_exited": lambda drawn: fnr_on_exited(Decisions(decided[drawn]), rows.labels[drawn]).rate,
        "coverage": lambda drawn: coverage(Decisions(decided[drawn]), rows.labels[drawn]).rate,
    }
    n = len(rows.labels)
    return {name: [metric(rng.integers(0, n, n)) for _ in range(resamples)] for name, metric in metrics.items()}


def augrc_by_thresholds(confidence: Float, failure: Boolean) -> float:
    """The area under the curve of kept failures, one threshold after the other."""
    n = len(confidence)
    order = np.argsort(confidence)
    ascending, failing = confidence[order], failure[order].astype(np.float64)
    kept, failures = n, sum(failing)
    thresholds, coverages, risks = [ascending[0]], [1.0], [failures / n]
    for row in range(n - 1):
        kept -= 1
        failures -= failing[row]
        risk = failures / n
        if ascending[row] != ascending[row + 1]:
            thresholds.append(ascending[row + 1])
            coverages.append(kept / n)
            risks.append(risk)
    return float(-np.trapezoid([*risks, 0.0], [*coverages, 0.0]))


def processor_seconds(call: Callable[[], object]) -> float:
    """Of this process: other work on the machine does not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare_bootstraps(naive_resamples: int, rounds: int) -> None:
    """Print the times of both and their ratio."""
    rows = Rows.draw(ROWS)
    mine, theirs = [], []
    for _ in range(rounds):
        theirs.append(processor_seconds(lambda: naive(rows, naive_resamples)) * RESAMPLES / naive_resamples)
        mine.append(processor_seconds(lambda: ours(rows)))
    fast, slow = np.median(mine), np.median(theirs)
    print(f"{ROWS} rows, {RESAMPLES} resamples of five numbers, medians of {rounds} turns")
    print(f"bootstrap   {fast:8.2f} s")
    print(f"naive loops {slow:8.2f} s, scaled from {naive_resamples} resamples    ratio {slow / fast:.1f}")


def compare_augrc(rounds: int) -> None:
    """Print the times of both and their ratio."""
    rows = Rows.draw(RANKED_ROWS)
    mine, theirs = [], []
    for _ in range(rounds):
        theirs.append(processor_seconds(lambda: augrc_by_thresholds(rows.confidence, rows.failure)))
        mine.append(processor_seconds(lambda: augrc(rows.confidence, rows.failure)))
    if not np.isclose(augrc(rows.confidence, rows.failure), augrc_by_thresholds(rows.confidence, rows.failure)):
        raise SystemExit("the two ways to compute AUGRC disagree; a comparison of their times means nothing")
    fast, slow = np.median(mine), np.median(theirs)
    print(f"AUGRC of {RANKED_ROWS} rows, {len(np.unique(rows.confidence))} distinct confidences")
    print(f"augrc       {1000 * fast:8.1f} ms")
    print(f"thresholds  {1000 * slow:8.1f} ms    ratio {slow / fast:.1f}")


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the naive work")
    parser.add_argument("--peak-memory", action="store_true", help="only run the bootstrap and print the peak in MB")
    options = parser.parse_args()
    with threadpool_limits(1):
        if options.peak_memory:
            ours(Rows.draw(ROWS))
            print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")
            return
        # First, while this process is small: a child's peak starts at what its parent held when it was forked.
        command = [sys.executable, "-m", "benchmarks.bootstrap", "--peak-memory"]
        peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        compare_bootstraps(naive_resamples=4 if options.quick else 40, rounds=3 if options.quick else 5)
        print(f"peak memory {peak:>8} MB resident")
        compare_augrc(rounds=3 if options.quick else 7)


if __name__ == "__main__":
    main()
