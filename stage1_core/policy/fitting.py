"""A policy of any kind for predictions that somebody brings along: the fit, and what it is to be judged by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.suite import ExitQuality, exit_quality
from stage1_core.policy import AnyPolicy, AnyPolicyConfig, GatePolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.parts import PART_NAMES, require_groups_apart
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose

Count = Annotated[int, Field(ge=0)]


class PartSize(FrozenModel):
    """How many rows a part has."""

    rows: Count
    groups: Count
    positives: Count
    counted_rows: Count
    """Those that the promise is counted on."""
    counted_positives: Count


class PolicyFit(FrozenModel):
    """A fitted policy with the size of each part and its exits on the certifying rows that are counted."""

    policy: AnyPolicy
    rule: str
    """Which rows exit, in words."""
    no_exit_reason: str | None
    """What is missing, where nothing could be certified."""
    parts: dict[str, PartSize]
    """By what they do: order, calibrate, certify."""
    exits: ExitQuality
    """Bounds are at the promise's confidence. What the promise does not name is described, not certified."""


def purposes(config: AnyPolicyConfig) -> tuple[Purpose, ...]:
    """The parts that ``config`` is fitted on; the last one certifies."""
    if isinstance(config, GatePolicyConfig):
        return Purpose.SELECT_MODEL, Purpose.FIT_CALIBRATOR, config.certifies_on
    return Purpose.SELECT_MODEL, config.certifies_on


def fit_policy(config: AnyPolicyConfig, parts: Mapping[Purpose, Predictions], constraint: RiskConstraint) -> PolicyFit:
    """Fit ``config`` on one part for each of its `purposes`.

    Raises `DataError` when a group lies in two parts, and what ``config.fit`` raises.
    """
    require_groups_apart(parts)
    order_on, certify_on = parts[Purpose.SELECT_MODEL], parts[config.certifies_on]
    if isinstance(config, GatePolicyConfig):
        calibrate_on = parts[Purpose.FIT_CALIBRATOR]
        policy: AnyPolicy = config.fit(order_on, certify_on, constraint, calibrate_on=calibrate_on)
    else:
        policy = config.fit(order_on, certify_on, constraint)
    counted = constraint.countable(certify_on)
    return PolicyFit(
        policy=policy,
        rule=policy.rule_in_words(),
        no_exit_reason=policy.no_exit_reason,
        parts={PART_NAMES[purpose]: _size(rows, constraint) for purpose, rows in parts.items()},
        exits=exit_quality(counted, policy.decide(counted.scores), constraint.confidence),
    )


def _size(rows: Predictions, constraint: RiskConstraint) -> PartSize:
    counted = constraint.countable(rows)
    return PartSize(
        rows=len(rows),
        groups=len(set(rows.groups.tolist())),
        positives=int(rows.labels.sum()),
        counted_rows=len(counted),
        counted_positives=int(counted.labels.sum()),
    )
