"""Phase 6: selective conformal risk control on the better of two heads; "not adopted" is an answer."""

from __future__ import annotations

from flows._challenge import challenge
from flows._conclusion import conclude
from flows._flow import flow
from flows._heads import judge_heads
from flows._standing import released
from stage1_core.phases.conformal import ConformalConfig
from tasks.arms import chosen_of
from tasks.challenge import check_challenger
from tasks.conformal import check_conformal
from tasks.phase import ReleasedPhase
from tasks.publishing import open_run
from tasks.release import rehearse_release


@flow("conformal")
def conformal(config: ConformalConfig) -> ReleasedPhase:
    """Train a head with and without conformal risk, and release an SCRC policy on it if no less exits than before.

    Args:
        config: Everything that determines the decision; `previous` is the release whose coverage must be kept.
    """
    previous = released(config.previous)
    run = open_run("conformal", config)
    heads = judge_heads(run, config, previous)
    chosen = chosen_of(heads.trained, heads.judged).recipe  # the plain one as well: its head may have SCRC's policy
    challenged = challenge(run, config, config.policy.kind, previous, previous.made.features, chosen.head)
    checked = check_conformal(config, challenged.made)
    rehearsal = rehearse_release(config, challenged.made)
    acceptance = check_challenger("conformal", config, challenged, [heads.stability, checked], heads.judged, rehearsal)
    return conclude(run, config, challenged.made, acceptance)
