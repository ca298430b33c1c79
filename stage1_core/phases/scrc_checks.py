"""What is checked of an SCRC policy beside its certificate: calibration, sets, and the method's own two promises."""

from __future__ import annotations

import numpy as np

from stage1_core.acceptance import AcceptanceCheck, Direction, FactCheck, ValueCheck
from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.policy import ScrcPolicy
from stage1_core.policy.native_guarantee import FixedSelection, NativeGuarantee, native_guarantee
from stage1_core.policy.scrc import ClassCalibration
from stage1_core.policy.selective_conformal import decide_batch
from stage1_core.predictions import Decisions, Predictions, Scores


def calibration_checks(
    measured: ClassCalibration, *, max_nll_increase: float, max_ece: float
) -> tuple[AcceptanceCheck, ...]:
    """Whether calibration harms no likelihood, and leaves little error, on rows that it never saw."""
    before, after = measured.nll_before, measured.nll_after
    return (
        ValueCheck(
            name="rise of the NLL by calibration on the certifying rows",
            value=None if before is None or after is None else after - before,
            bound=max_nll_increase,
            direction=Direction.AT_MOST,
            trials=measured.rows,
        ),
        ValueCheck(
            name="calibration error of the classes on the certifying rows",
            value=measured.ece_after,
            bound=max_ece,
            direction=Direction.AT_MOST,
            trials=measured.rows,
        ),
    )


def sets_check(policy: ScrcPolicy, scores: Scores) -> FactCheck:
    """Whether every picture that exits keeps its likelier calibrated class, and every other one both."""
    sets, likelier = policy.decide(scores).prediction_set, policy.calibrated(scores).likelier_class
    sizes = sets.sum(axis=1)
    exited, empty = int((sizes == 1).sum()), int((sizes == 0).sum())
    right = int(((sizes == 1) & sets[np.arange(len(sets)), likelier]).sum())
    both = len(sets) - exited - empty
    return FactCheck(
        name="prediction sets on the certifying rows are {likelier class} or {0, 1}",
        holds=right == exited and empty == 0 if len(sets) else None,
        evidence=f"{right} of {exited} that exit have their likelier class, {both} both, {empty} none",
    )


def own_promise_check(policy: ScrcPolicy, rows: Predictions) -> FactCheck:
    """Whether SCRC-I's own promise, as the policy records it, is what the counted ``rows`` say; it may be none."""
    seen = promise_of(policy, rows)
    return FactCheck(
        name="SCRC-I's own promise is the one that is recorded",
        holds=_counts(seen) == _counts(policy.bounds),
        evidence=f"{seen.in_words()}; {seen.misses} missed of {seen.selected_positives} selected and "
        f"{seen.exited_positives} exited positives",
    )


def batch_check(policy: ScrcPolicy, rows: Predictions, batch: Predictions) -> FactCheck:
    """Whether SCRC-T's sets for a batch do not depend on the order of its pictures; what they are worth, as evidence.

    ``rows`` calibrate and ``batch`` is decided, both as they are counted. They must be rows that neither the model nor
    its calibrators saw, or they are not exchangeable.
    """
    order = np.random.default_rng(len(batch)).permutation(len(batch))
    sets, shuffled = batch_sets(policy, rows, batch), batch_sets(policy, rows, batch.take(order))
    missed = fnr_on_exited(sets, batch.labels)
    return FactCheck(
        name=f"SCRC-T's sets for the {batch.purpose} rows do not depend on their order",
        holds=bool((sets.prediction_set[order] == shuffled.prediction_set).all()) if len(batch) else None,
        evidence=f"{int(sets.exited.sum())} of {len(batch)} exit, {missed.events} of {missed.trials} exited positives "
        "are missed; it promises nothing of those that exit",
    )


def promise_of(policy: ScrcPolicy, rows: Predictions) -> NativeGuarantee:
    """What SCRC-I itself promises from ``rows``, for the lambda1 that the policy records it for."""
    recorded = policy.bounds
    selection = FixedSelection(lambda1=recorded.lambda1)
    scores = policy.selective(rows.scores)
    return native_guarantee(scores, rows.labels, selection, alpha=recorded.alpha, delta_s=recorded.delta_s)


def batch_sets(policy: ScrcPolicy, rows: Predictions, batch: Predictions) -> Decisions:
    """SCRC-T's decisions for ``batch``, calibrated on ``rows``, with the share selected that the policy selects."""
    laxest = policy.lambda1 if policy.positives is None else min(policy.lambda1, policy.positives.lambda1)
    calibration, pictures = (policy.selective(part.scores) for part in (rows, batch))
    rate = float((calibration.selection >= laxest).mean())
    return decide_batch(calibration, rows.labels, pictures, selection_rate=rate, alpha=policy.constraint.max_risk)


def _counts(promise: NativeGuarantee) -> tuple[int | None, ...]:
    return (
        promise.budget,
        promise.positives,
        promise.selected_positives,
        promise.exited_positives,
        promise.misses,
    )
