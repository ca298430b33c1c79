"""Tasks that hold a challenger against the release that it would replace."""

from __future__ import annotations

from pathlib import Path

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, require_untouched
from stage1_core.config import FrozenModel
from stage1_core.phases.adoption import adoption_report
from stage1_core.phases.config import ChallengeConfig
from stage1_core.policy.comparison import ComparisonConfig, PolicyComparison, Side, at_matched_fpr, compare
from stage1_core.report.comparison import comparison_report
from stage1_core.report.figures.canvas import save_png
from stage1_core.report.figures.comparison import comparison_figure
from stage1_core.splits import Purpose
from tasks._task import effect, task
from tasks._workspace import store
from tasks.acceptance import ACCEPTANCE_FILE, load_acceptance
from tasks.pages import show_acceptance, show_figures, show_links
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import load_policy, load_predictions
from tasks.runs import RunRef, place
from tasks.tracking import client, comparison_metrics, finish, log_metrics

COMPARISON = "comparison"


class Sides(FrozenModel):
    """What the two are called where they are compared."""

    incumbent: str
    challenger: str


@task
def match_policy(policy: ArtifactRef, order_on: ArtifactRef, incumbent: PhaseArtifacts) -> ArtifactRef:
    """The challenger at its laxest certified level whose FPR on exited is not above the incumbent's."""
    matched = at_matched_fpr(load_policy(policy), load_predictions(order_on), _side("incumbent", incumbent))
    inputs = [policy, order_on, incumbent.policy, incumbent.order_on]
    return store().put_file(ArtifactKind.POLICY, "policy.json", matched, inputs=inputs)


@task
def compare_policies(
    config: ChallengeConfig, sides: Sides, policy: ArtifactRef, order_on: ArtifactRef, incumbent: PhaseArtifacts
) -> ArtifactRef:
    """Both policies on the selection rows, paired; VAL_TEST stays closed."""
    inputs = [policy, order_on, incumbent.policy, incumbent.order_on]
    require_untouched(inputs, Purpose.FINAL_EVALUATION)
    challenger = Side(sides.challenger, load_policy(policy), load_predictions(order_on))
    compared = compare(
        _side(sides.incumbent, incumbent),
        challenger,
        config.comparison.bootstrap,
        purpose=Purpose.SELECT_MODEL,
        exact_confidence=config.constraint.confidence,
    )
    return store().put_file(ArtifactKind.COMPARISON, f"{COMPARISON}.json", compared, inputs=inputs)


@task
def judge_comparison(config: ComparisonConfig, comparison: ArtifactRef) -> ArtifactRef:
    """Whether the challenger is better, check by check."""
    report = adoption_report(config, load_comparison(comparison))
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=[comparison])


@task
def write_comparison(config: ChallengeConfig, comparison: ArtifactRef, adoption: ArtifactRef) -> ArtifactRef:
    """A page and a figure that say what came of it."""
    compared, report = load_comparison(comparison), load_acceptance(adoption)

    def write(folder: Path) -> None:
        save_png(comparison_figure(compared), folder / f"{COMPARISON}.png")
        page = comparison_report(config.release.title, compared, report)
        (folder / f"{COMPARISON}.html").write_text(page, encoding="utf-8")

    return store().put(ArtifactKind.REPORT, write, inputs=[comparison, adoption])


@effect
def publish_comparison(run: RunRef, comparison: ArtifactRef, adoption: ArtifactRef, page: ArtifactRef) -> None:
    """Show the comparison in the page, in MLflow and in the run's folder, whatever comes of it."""
    show_acceptance(load_acceptance(adoption), key="adoption")
    show_figures([store().open(page) / f"{COMPARISON}.png"])
    show_links(run, store().open(page) / f"{COMPARISON}.html", key="comparison")
    place(run, store().open_file(comparison), f"{COMPARISON}.json")
    place(run, store().open_file(adoption), "adoption.json")
    place(run, store().open(page) / f"{COMPARISON}.html", f"{COMPARISON}.html")
    log_metrics(run.mlflow_run_id, comparison_metrics(load_comparison(comparison)))
    client().log_artifacts(run.mlflow_run_id, str(store().open(page)), COMPARISON)


def require_better(run: RunRef, adoption: ArtifactRef, standing: ReleasedPhase) -> None:
    """Halt by raising `NotAdopted` unless the challenger was found better; ``standing`` then goes on standing.

    No task of its own: the page would show it as a failed one, and "not better" is an answer, with which the run in
    MLflow is finished.
    """
    report = load_acceptance(adoption)
    if not report.passed:
        finish(run.mlflow_run_id, succeeded=True)
        raise standing.goes_on(report.summary(), report, run)


def load_comparison(ref: ArtifactRef) -> PolicyComparison:
    """The comparison behind a reference."""
    return store().read(ref, PolicyComparison)


def _side(name: str, made: PhaseArtifacts) -> Side:
    return Side(name, load_policy(made.policy), load_predictions(made.order_on))
