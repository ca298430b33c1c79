"""Which training recipe is adopted: the cheapest that is not worse than the best, and the reference unless shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, FactCheck, ValueCheck, Verdict
from stage1_core.config import FrozenModel
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.policy.arm_comparison import ArmAgainst, ArmComparison
from stage1_core.policy.arms import ArmCost

Area = Annotated[float, Field(gt=0, lt=0.5)]
Margin = Annotated[float, Field(gt=0, lt=1)]


class ArmChoiceConfig(FrozenModel):
    """When an arm takes the place of the reference."""

    min_augrc_gain: Area = 0.0005
    """By how much the AUGRC must be lower, at the unfavourable end of its interval, to be a gain."""
    max_augrc_loss: Area = 0.002
    """How much higher the AUGRC may be for a lower cost, at the unfavourable end."""
    max_accuracy_loss: Margin = 0.01
    """What the accuracy may lose at most, as a fraction, by the lower end of its interval."""
    max_mcc_loss: Margin = 0.02
    """What Matthews' correlation may lose at most, by the lower end of its interval."""
    min_time_saving: Margin = 0.1
    """Share of the seconds that an arm of as many trainable parameters must save to count as cheaper."""
    min_seeds: Annotated[int, Field(ge=1)] = 3
    """Trainings of each arm, below which nothing is adopted. With one, intervals know nothing of the luck of training:
    the models are compared, not the recipes."""
    bootstrap: BootstrapConfig = BootstrapConfig(level=0.9)
    """Paired, clustered by group, stratified by class. By default the unfavourable ends hold all at once with a
    probability of 95 %."""


class ArmChoice(FrozenModel):
    """What was chosen, and why."""

    config: ArmChoiceConfig
    reference: str
    chosen: str
    because: str
    """In words."""
    reports: dict[str, AcceptanceReport]
    """Of every other arm: whether it may take the place of the reference."""
    acceptance: AcceptanceReport
    """Of the arm that was chosen or, where the reference stays, of the one that came nearest. It passes where another
    arm than the reference was chosen; not being adopted is an outcome."""

    @property
    def reference_stays(self) -> bool:
        """Whether no other arm was chosen."""
        return self.chosen == self.reference

    @property
    def proof(self) -> tuple[AcceptanceReport, ...]:
        """What the chosen arm had to pass; nothing, where the reference stays."""
        return () if self.reference_stays else (self.acceptance,)


def choose_arm(config: ArmChoiceConfig, comparison: ArmComparison) -> ArmChoice:
    """The cheapest of those arms that may be chosen and are not worse than the best, with every check that decided.

    The reference may be chosen, and so may an arm with a proven gain in AUGRC over it, or that is cheaper and proven
    not worse, if it keeps accuracy and MCC too. Proven is what the unfavourable ends say of all arms at once: that any
    arm without a true gain, however many there are, replaces a cheaper reference happens with a probability of about
    (1 - level) / 2 at most. Where no arm that may be chosen is proven not worse than the best, it is the one with the
    lowest AUGRC of those with a gain or, without any, the cheapest. Cheaper are fewer trainable parameters, then fewer
    seconds.

    Counted with ten arms of the reference's strength: an intended 5 % were 1 to 3 %. A cheaper arm that loses exactly
    the margin passed in 1 to 4 % on 800 groups; on 200 groups with few failures the bootstrap is bold, and 9 to 15 %
    passed.
    """
    costs = {arm.name: arm.cost for arm in comparison.arms}
    augrc = {arm.name: arm.mean_augrc for arm in comparison.arms}
    reports = {arm.name: _instead_of_reference(config, comparison, arm.name) for arm in comparison.challengers}
    allowed = [comparison.reference, *(name for name, report in reports.items() if report.passed)]
    as_good = [name for name in allowed if _as_good_as_best(config, comparison, name)]
    gaining = [name for name in allowed[1:] if _gains(config, comparison.to_reference[name])]
    if gaining and not as_good:
        chosen = min(gaining, key=augrc.__getitem__)
    else:
        chosen = min(as_good or allowed, key=lambda name: costs[name].order)
    because = _because(comparison, chosen, replaceable=len(allowed) > 1, as_good=chosen in as_good)
    nearest = chosen if chosen in reports else min(allowed[1:] or reports, key=augrc.__getitem__)
    checks = reports[nearest].checks
    if reports[nearest].passed:
        checks = (*checks, FactCheck(name=f"{nearest} is chosen", holds=nearest == chosen, evidence=because))
    return ArmChoice(
        config=config,
        reference=comparison.reference,
        chosen=chosen,
        because=because,
        reports=reports,
        acceptance=AcceptanceReport.of(f"{nearest} instead of {comparison.reference}", checks),
    )


def most_augrc(config: ArmChoiceConfig, cost: ArmCost, reference: ArmCost) -> float:
    """Bound of the difference in AUGRC to the reference, at its upper end.

    An arm must gain, or save more than the noise of a clock and lose little. In the unit of the area.
    """
    if cost.trainable_parameters != reference.trainable_parameters:
        saves = cost.trainable_parameters < reference.trainable_parameters
    else:
        saves = cost.seconds < (1 - config.min_time_saving) * reference.seconds
    return config.max_augrc_loss if saves else -config.min_augrc_gain


def _instead_of_reference(config: ArmChoiceConfig, comparison: ArmComparison, name: str) -> AcceptanceReport:
    """Better than the reference, or cheaper and not worse."""
    enough = FactCheck(
        name="enough seeds to tell a recipe from luck",
        holds=True if len(comparison.seeds) >= config.min_seeds else None,
        evidence=f"{len(comparison.seeds)} of each arm, {config.min_seeds} needed",
    )
    bound = most_augrc(config, comparison.arm(name).cost, comparison.arm(comparison.reference).cost)
    ends = _ends(config, comparison, comparison.to_reference[name], comparison.reference, max_augrc=bound)
    return AcceptanceReport.of(f"{name} instead of {comparison.reference}", (enough, *ends))


def _ends(
    config: ArmChoiceConfig, comparison: ArmComparison, against: ArmAgainst, base: str, *, max_augrc: float
) -> tuple[AcceptanceCheck, ...]:
    """The unfavourable end of each deciding difference to ``base``."""
    among = f"end of the {comparison.level:.0%} interval, all arms at once"
    return (
        ValueCheck(
            name=f"difference in AUGRC to {base} (upper {among})",
            value=against.augrc.upper,
            bound=max_augrc,
            direction=Direction.AT_MOST,
            trials=comparison.rows,
        ),
        ValueCheck(
            name=f"difference in accuracy to {base} (lower {among})",
            value=against.accuracy.lower,
            bound=-config.max_accuracy_loss,
            direction=Direction.AT_LEAST,
            trials=comparison.rows,
        ),
        ValueCheck(
            name=f"difference in MCC to {base} (lower {among})",
            value=against.mcc.lower,
            bound=-config.max_mcc_loss,
            direction=Direction.AT_LEAST,
            trials=comparison.rows,
        ),
    )


def _gains(config: ArmChoiceConfig, against: ArmAgainst) -> bool:
    return against.augrc.upper is not None and against.augrc.upper <= -config.min_augrc_gain


def _as_good_as_best(config: ArmChoiceConfig, comparison: ArmComparison, name: str) -> bool:
    """Whether the arm is the best, or shown to lose no more against it than is put up with."""
    if name == comparison.best:
        return True
    best = comparison.best
    ends = _ends(config, comparison, comparison.to_best[name], best, max_augrc=config.max_augrc_loss)
    return all(check.verdict is Verdict.PASS for check in ends)


def _because(comparison: ArmComparison, chosen: str, *, replaceable: bool, as_good: bool) -> str:
    reference, best = comparison.reference, comparison.best
    if not replaceable:
        return f"no arm was shown to be better than {reference}, or as good at a lower cost"
    if chosen == best:
        return f"{best} is the best arm, and no cheaper one was shown to be as good"
    if as_good:
        return f"{chosen} is the cheapest of the arms that were shown to be as good as {best}, the best"
    return f"{chosen} may replace {reference}, and {best}, the best on these rows, may not"
