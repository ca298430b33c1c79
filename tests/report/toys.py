"""Toys for the report: small predictions with known truth, the policies fitted on them, and whole contents."""

from __future__ import annotations

from functools import cache

import numpy as np

from stage1_core.acceptance import (
    AcceptanceReport,
    CountedRisk,
    Direction,
    FactCheck,
    RiskCheck,
    ValueCheck,
    Verdict,
)
from stage1_core.metrics.agreement import cross_checks, range_checks
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.intervals import clopper_pearson_lower, clopper_pearson_upper
from stage1_core.metrics.suite import TransformQuality, model_quality
from stage1_core.phases.selective_evaluation import KeptHead, kept_head_check
from stage1_core.policy import AnyPolicy, GatePolicyConfig, ScrcPolicy, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoice, ArmChoiceConfig, choose_arm
from stage1_core.policy.arm_comparison import ArmComparison, compare_arms
from stage1_core.policy.comparison import PolicyComparison, Side, compare
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import Measured, evaluate
from stage1_core.policy.scrc_exit import SoonerExit
from stage1_core.predictions import Predictions, Scores
from stage1_core.report.contents import ReportContents
from stage1_core.report.figures.comparison import comparison_figure
from stage1_core.report.release_figures import release_figures
from stage1_core.splits import Purpose
from tests.policy.pairs import pair_policy as fitted_pair
from tests.policy.recipes import Recipes

CONSTRAINT = RiskConstraint()
FEW_RESAMPLES = BootstrapConfig(resamples=200)
LOG = [
    {"Epoch": epoch, "Train_Loss": 0.7 / epoch, "Val_Loss": 0.8 / epoch, "Val_Acc": 90.0 + epoch, "LR": 1e-4 / epoch}
    for epoch in range(1, 7)
]
OPENING = {
    "index": 0,
    "time": "2026-03-05T09:41:07+00:00",
    "event": "certified",
    "purpose": "certify_uncalibrated_policy",
    "subject": " ".join(digit * 64 for digit in "abc"),
    "rows_digest": "d" * 64,
    "reason": "certify a softmax policy: fnr_on_exited <= 0.02",
    "delta_spent": 0.1,
    "previous": "0" * 64,
    "entry_digest": "e" * 64,
}
"""One line of an access log."""


def rows(n: int, *, seed: int = 0, purpose: Purpose = Purpose.FINAL_EVALUATION) -> Predictions:
    """Separable scores with some errors, every row its own group."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    margin = (2 * labels - 1) * 5.0 + generator.normal(0, 3, n)
    ids = np.array([f"{purpose}/{seed}/{index}" for index in range(n)], dtype=np.str_)
    sources = np.array(["east", "west"], dtype=np.str_)[generator.integers(0, 2, n)]
    return Predictions(purpose, Scores(ids, np.stack([-margin / 2, margin / 2], axis=1)), labels, ids, sources)


def gated_rows(n: int, *, seed: int = 0, purpose: Purpose = Purpose.FINAL_EVALUATION) -> Predictions:
    """Pairs of pictures of one place. The gate knows a little more than the margin of whether the call is right."""
    generator = np.random.default_rng(seed)
    places = np.arange(n) // 2
    labels = generator.integers(0, 2, n)[places]
    side = 2 * labels - 1
    margin = side * 4.0 + generator.normal(0, 2.6, n)
    right = (margin >= 0) == (labels == 1)
    helped = margin + side * generator.exponential(1.5, n)
    ids = np.array([f"{purpose}/{seed}/{index}" for index in range(n)], dtype=np.str_)
    groups = np.array([f"{purpose}/{seed}/place {place}" for place in places], dtype=np.str_)
    sources = np.array(["east", "west"], dtype=np.str_)[generator.integers(0, 2, n)]
    scores = Scores(
        ids,
        np.stack([-margin / 2, margin / 2], axis=1),
        gate_logits=0.6 * np.abs(margin) + 1.5 * right + generator.normal(0, 0.6, n),
        aux_logits=np.stack([-helped / 2, helped / 2], axis=1),
    )
    return Predictions(purpose, scores, labels, groups, sources)


@cache
def softmax_policy(certifying: int, *, gated: bool = False) -> AnyPolicy:
    """The softmax policy that so many certifying rows give; 60 are too few for any."""
    make = gated_rows if gated else rows
    order_on = make(800, seed=1, purpose=Purpose.SELECT_MODEL)
    certify_on = make(certifying, seed=2, purpose=Purpose.CERTIFY_UNCALIBRATED_POLICY)
    return SoftmaxPolicyConfig().fit(order_on, certify_on, CONSTRAINT)


@cache
def gate_policy(certifying: int) -> AnyPolicy:
    """The gate policy that so many certifying rows give."""
    return GatePolicyConfig(rest="stage_b").fit(
        gated_rows(800, seed=1, purpose=Purpose.SELECT_MODEL),
        gated_rows(certifying, seed=2, purpose=Purpose.CERTIFY_POLICY),
        CONSTRAINT,
        calibrate_on=gated_rows(800, seed=3, purpose=Purpose.FIT_CALIBRATOR),
    )


@cache
def scrc_policy(certifying: int) -> AnyPolicy:
    """The SCRC policy that so many certifying rows give; its levels differ in lambda1."""
    return ScrcPolicyConfig().fit(*scrc_rows(certifying), CONSTRAINT)


def scrc_rows(certifying: int) -> tuple[Predictions, Predictions]:
    """What that policy is fitted and certified on."""
    order_on = gated_rows(800, seed=1, purpose=Purpose.SELECT_MODEL)
    return order_on, gated_rows(certifying, seed=2, purpose=Purpose.CERTIFY_UNCALIBRATED_POLICY)


@cache
def pair_policy(*, sooner: bool) -> ScrcPolicy:
    """Both thresholds decide something, and the certified levels differ in lambda2."""
    positives = SoonerExit(lambda1=0.3, lambda2=0.6) if sooner else None
    return fitted_pair(*scrc_rows(3000), CONSTRAINT, lambda1=0.5, positives=positives)


@cache
def comparison_without_exits() -> PolicyComparison:
    """A gate that could not be certified against the softmax policy."""
    selected = gated_rows(800, seed=1, purpose=Purpose.SELECT_MODEL)
    softmax = Side("softmax", softmax_policy(3000, gated=True), selected)
    return _compared(softmax, Side("gate", gate_policy(60), selected))


@cache
def comparison(*, gate_is_better: bool = True) -> PolicyComparison:
    """The gate against the softmax policy on the rows that selected the model, or the other way round."""
    selected = gated_rows(800, seed=1, purpose=Purpose.SELECT_MODEL)
    softmax = Side("softmax" if gate_is_better else "gate", softmax_policy(3000, gated=True), selected)
    gate = Side("gate" if gate_is_better else "softmax", gate_policy(3000), selected)
    sides = (softmax, gate) if gate_is_better else (gate, softmax)
    return _compared(*sides)


ARM_GAINS = {
    "frozen": 0.0,
    "lora": 0.9,
    "dora": 0.95,
    "doran": 0.4,
    "full": -0.2,
    "frozen with ExPLoRA": 0.3,
    "lora with ExPLoRA": 1.0,
    "dora with ExPLoRA": 1.1,
    "doran with ExPLoRA": 0.5,
    "full with ExPLoRA": 0.1,
}


@cache
def arms(*, better: bool) -> tuple[ArmComparison, ArmChoice]:
    """Ten recipes, some of them better than the first, or all of the same strength."""
    gains = {name: gain * better for name, gain in ARM_GAINS.items()}
    config = ArmChoiceConfig(bootstrap=BootstrapConfig(resamples=200, level=0.9))
    drawn = Recipes(groups=600, luck=0.05, own=0.4).draw(np.random.default_rng(1), gains)
    compared = compare_arms(drawn, "frozen", CONSTRAINT, config.bootstrap)
    return compared, choose_arm(config, compared)


BATCH_SIZES = dict.fromkeys(ARM_GAINS, 64)
"""Of `arms`."""


def measure(policy: AnyPolicy, final: Predictions) -> Measured:
    """The evaluation with few resamples."""
    return evaluate(policy, final, CONSTRAINT.confidence, FEW_RESAMPLES)


def acceptance(verdict: Verdict) -> AcceptanceReport:
    """A report of every kind of check that comes to ``verdict``."""
    events = {Verdict.PASS: 4, Verdict.FAIL: 40, Verdict.INSUFFICIENT_EVIDENCE: 8}[verdict]
    good = FactCheck(
        name="the bundle exports, loads and decides the same", holds=True, evidence="30 files, all as sealed"
    )
    value = {Verdict.PASS: 0.99, Verdict.FAIL: 0.5, Verdict.INSUFFICIENT_EVIDENCE: None}[verdict]
    accuracy = ValueCheck(name="accuracy", value=value, bound=0.9, direction=Direction.AT_LEAST, trials=400)
    risk = RiskCheck(
        name="certified fnr_on_exited",
        max_risk=0.02,
        confidence=0.9,
        risk=_counted(events, 411),
        negative_control=_counted(411, 411),
        trials_needed=640,
    )
    report = AcceptanceReport.of("baseline", (good, accuracy, risk))
    assert report.verdict is verdict
    return report


def many_checks(missed: tuple[str, ...] = ()) -> AcceptanceReport:
    """A report with all families of checks that a phase makes; those named in ``missed`` fail."""
    final = rows(400)
    kept = (KeptHead(metric=metric, logged_best=0.5, rescored=0.5) for metric in ("AUGRC", "accuracy"))
    made = (*cross_checks(final), *range_checks(model_quality(final)), *(kept_head_check(head) for head in kept))
    worse = {"value": 2.0, "bound": 1.0, "direction": Direction.AT_MOST}
    checks = [check.model_copy(update=worse) if check.name in missed else check for check in made]
    return AcceptanceReport.of("selective_evaluation", (*acceptance(Verdict.PASS).checks, *checks))


def adoption(compared: PolicyComparison) -> AcceptanceReport:
    """Whether the challenger lets more exit."""
    gain = ValueCheck(
        name=f"gain in coverage over {compared.incumbent.name} (lower end of the 90% interval)",
        value=compared.differences["coverage"].lower,
        bound=0.005,
        direction=Direction.AT_LEAST,
        trials=compared.rows,
    )
    return AcceptanceReport.of(f"{compared.challenger.name} instead of {compared.incumbent.name}", (gain,))


def contents(policy: AnyPolicy, final: Predictions, verdict: Verdict, *, compared: bool = False) -> ReportContents:
    """A whole report of ``policy``: every section has something to show."""
    measured = measure(policy, final)
    against = comparison() if compared else None
    figures = dict(release_figures(policy, CONSTRAINT, final, LOG, measured, certified_on=final))
    if against is not None:
        figures["comparison"] = comparison_figure(against)
    selected = final.take(np.arange(len(final)) % 2 == 0)
    return ReportContents(
        title="stage1-roadwork 1.4.0",
        acceptance=acceptance(verdict),
        evaluation=measured.evaluation,
        policy=policy,
        constraint=CONSTRAINT,
        data_summary={
            "seed": 7,
            "splits": {
                name: {"rows": 4000, "roadwork": 812} for name in ("train", "val_select", "val_calib", "val_test")
            },
            "openings": [OPENING, OPENING | {"index": 1, "event": "opened", "purpose": "final_evaluation"}],
        },
        figures=figures,
        provenance={"bundle digest": "ab" * 32, "configuration": '{\n  "seed": 7\n}'},
        synthetic=True,
        val_test_openings=1,
        transforms=tuple(
            TransformQuality(transform=name, model=model_quality(selected))
            for name in ("resize 256, centre crop 224", "processor of the backbone", "letterbox 224")
        ),
        comparison=against,
    )


def _compared(incumbent: Side, challenger: Side) -> PolicyComparison:
    config = BootstrapConfig(resamples=200, level=0.9)
    purpose = Purpose.SELECT_MODEL
    return compare(incumbent, challenger, config, purpose=purpose, exact_confidence=CONSTRAINT.confidence)


def _counted(events: int, trials: int) -> CountedRisk:
    return CountedRisk(
        events=events,
        trials=trials,
        lower_bound=clopper_pearson_lower(events, trials, 0.9),
        upper_bound=clopper_pearson_upper(events, trials, 0.9),
    )
