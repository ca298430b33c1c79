"""Tasks that hold training recipes, each trained with several seeds, against each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol, Self, TypeVar

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, require_untouched
from stage1_core.compute.choice import chosen_compute
from stage1_core.config import FrozenModel
from stage1_core.data.ledger import SplitLedger
from stage1_core.model.head import Head
from stage1_core.model.head_files import save_head
from stage1_core.policy.arm_choice import ArmChoice, ArmChoiceConfig, choose_arm
from stage1_core.policy.arm_comparison import ArmComparison, compare_arms
from stage1_core.policy.arms import Arm, ArmCost, ArmRun
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Scores
from stage1_core.report.arms import arms_report
from stage1_core.report.figures.arms import arms_figure
from stage1_core.report.figures.canvas import save_png
from stage1_core.splits import Purpose
from stage1_core.training.batching import UsedBatch, comparable_sizes
from stage1_core.training.loop import EpochResult
from stage1_core.training.session import LOG_FILE, OnEpoch
from tasks._progress import OnProgress
from tasks._task import effect, task
from tasks._workspace import store
from tasks.backbones import SEEN
from tasks.pages import show_acceptance, show_figures, show_links
from tasks.phase import ReleasedPhase
from tasks.policy import load_predictions
from tasks.runs import RunRef, place
from tasks.tracking import client, finish, log_metrics

ARMS = "arms"


Result = TypeVar("Result", covariant=True)


class SeedTraining(Protocol[Result]):
    """A training as a function of the seed."""

    def __call__(self, seed: int) -> Result:
        """The best epoch with ``seed``."""
        ...

    def telling(self, on_epoch: OnEpoch) -> Self:
        """The same training, whose epochs ``on_epoch`` is told of."""
        ...


class TrainedSeed(FrozenModel):
    """One training of a recipe."""

    seed: int
    rows: ArtifactRef
    """Predictions of the SELECT_MODEL rows."""
    cost: ArmCost
    batch: UsedBatch


class TrainedRecipe(FrozenModel):
    """A recipe, trained once with each seed."""

    name: str
    runs: tuple[TrainedSeed, ...]
    head: ArtifactRef
    """That of the first seed, which is what would be released."""


class Trained(Protocol):
    """Something that was trained by a recipe."""

    @property
    def recipe(self) -> TrainedRecipe:
        """The recipe."""
        ...


HasRecipe = TypeVar("HasRecipe", bound=Trained)


class Judgement(FrozenModel):
    """All recipes side by side, and what follows."""

    comparison: ArmComparison
    choice: ArmChoice
    batch_sizes: dict[str, int]
    """Rows of the micro-batches of each recipe, as they were used."""


@task
def judge_recipes(
    config: ArmChoiceConfig, promise: RiskConstraint, reference: str, recipes: Sequence[TrainedRecipe]
) -> ArtifactRef:
    """Compare the recipes on the selection rows, and choose; VAL_TEST and the certifying rows stay closed.

    Raises `ModelError` where memory made their batches unequal.
    """
    batch_sizes = comparable_sizes({recipe.name: [run.batch for run in recipe.runs] for recipe in recipes})
    inputs = [run.rows for recipe in recipes for run in recipe.runs]
    require_untouched(inputs, Purpose.CERTIFY_UNCALIBRATED_POLICY)
    comparison = compare_arms([_arm(recipe) for recipe in recipes], reference, promise, config.bootstrap)
    judged = Judgement(comparison=comparison, choice=choose_arm(config, comparison), batch_sizes=batch_sizes)
    return store().put_file(ArtifactKind.COMPARISON, f"{ARMS}.json", judged, inputs=inputs)


@task
def write_judgement(title: str, judged: ArtifactRef) -> ArtifactRef:
    """A page and a figure that say what the recipes are worth and what they cost."""
    judgement = load_judgement(judged)

    def write(folder: Path) -> None:
        save_png(arms_figure(judgement.comparison, judgement.choice), folder / f"{ARMS}.png")
        page = arms_report(title, judgement.comparison, judgement.choice, judgement.batch_sizes)
        (folder / f"{ARMS}.html").write_text(page, encoding="utf-8")

    return store().put(ArtifactKind.REPORT, write, inputs=[judged])


@effect
def publish_judgement(run: RunRef, judged: ArtifactRef, page: ArtifactRef) -> None:
    """Show the recipes and the choice in the page, in MLflow and in the run's folder, whatever comes of it."""
    judgement = load_judgement(judged)
    show_acceptance(judgement.choice.acceptance, key="choice")
    show_figures([store().open(page) / f"{ARMS}.png"])
    show_links(run, store().open(page) / f"{ARMS}.html", key=ARMS)
    place(run, store().open_file(judged), f"{ARMS}.json")
    place(run, store().open(page) / f"{ARMS}.html", f"{ARMS}.html")
    log_metrics(run.mlflow_run_id, arm_metrics(judgement.comparison))
    client().log_artifacts(run.mlflow_run_id, str(store().open(page)), ARMS)


def require_another_chosen(run: RunRef, judged: ArtifactRef, standing: ReleasedPhase) -> None:
    """Halt by raising `NotAdopted` where the reference was chosen; ``standing`` then goes on standing.

    No task of its own, for the reason that `require_better` has none.
    """
    choice = load_judgement(judged).choice
    if choice.reference_stays:
        finish(run.mlflow_run_id, succeeded=True)
        raise standing.goes_on(f"{choice.reference} stays: {choice.because}", choice.acceptance, run)


def chosen_of(trained: Sequence[HasRecipe], judged: ArtifactRef) -> HasRecipe:
    """The recipe that was chosen, with all that was made for it."""
    chosen = load_judgement(judged).choice.chosen
    return next(one for one in trained if one.recipe.name == chosen)


def load_judgement(ref: ArtifactRef) -> Judgement:
    """The judgement behind a reference."""
    return store().read(ref, Judgement)


def arm_metrics(comparison: ArmComparison) -> dict[str, float | None]:
    """Flat names for MLflow: of each recipe its numbers, means over seeds, and what it cost."""
    metrics: dict[str, float | None] = {"selection_rows": comparison.rows, "seeds": len(comparison.seeds)}
    for arm in comparison.arms:
        metrics |= {
            f"{arm.name}/augrc": arm.augrc.mean,
            f"{arm.name}/accuracy": arm.accuracy.mean,
            f"{arm.name}/mcc": arm.mcc.mean,
            f"{arm.name}/certifiable_coverage": arm.certifiable_coverage.mean,
            f"{arm.name}/trainable_parameters": arm.cost.trainable_parameters,
            f"{arm.name}/peak_memory_mib": _mib(arm.cost.peak_memory_bytes),
            f"{arm.name}/seconds": arm.cost.seconds,
        }
    return metrics


def with_every_seed(
    training: SeedTraining[Result], epochs: int, seeds: Sequence[int], on_progress: OnProgress
) -> list[Result]:
    """``training`` with each seed, where ``STAGE1_COMPUTE`` says; at most ``epochs`` epochs each."""
    compute, found = chosen_compute(), list[Result]()
    if compute.kind == "local":  # elsewhere nobody can be told of an epoch

        def tell(result: EpochResult) -> None:
            on_progress(len(found) * epochs + result.epoch, len(seeds) * epochs)

        training = training.telling(tell)
    with closing(compute.map(training, seeds)) as results:
        for result in results:
            found.append(result)
            on_progress(len(found) * epochs, len(seeds) * epochs)
    return found


def put_seed_head(head: Head, epochs: str, inputs: list[ArtifactRef]) -> ArtifactRef:
    """Store a head beside ``epochs``, the metrics.csv of its training."""

    def write(folder: Path) -> None:
        save_head(head, folder)
        (folder / LOG_FILE).write_text(epochs, encoding="utf-8")

    return store().put(ArtifactKind.HEAD, write, inputs=inputs, purposes=SEEN)


def seed_predictions(splits: SplitLedger, scores: Scores, inputs: list[ArtifactRef]) -> ArtifactRef:
    """Store what one training says about the SELECT_MODEL rows."""
    rows = splits.labelled(Purpose.SELECT_MODEL, scores)
    return store().put(
        ArtifactKind.PREDICTIONS,
        lambda folder: rows.save(folder / "predictions.npz"),
        inputs=inputs,
        purposes=SEEN,
    )


def _mib(count: int | None) -> float | None:
    return None if count is None else count / 2**20


def _arm(recipe: TrainedRecipe) -> Arm:
    runs = (ArmRun(seed=run.seed, rows=load_predictions(run.rows), cost=run.cost) for run in recipe.runs)
    return Arm(name=recipe.name, runs=tuple(runs))
