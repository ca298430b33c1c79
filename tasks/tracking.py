"""MLflow: one parent run a phase, found again by what it computes, so that a resumed run continues its own record.

MLflow's fluent API keeps the active run per thread and silently opens a second one elsewhere; everything here names its
run id. mlflow is imported where it is used, because that takes a second and most processes do not need it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stage1_core.acceptance import CountedRisk
from stage1_core.config import FrozenModel
from stage1_core.data.split_summary import SplitSummary
from stage1_core.digests import canonical_json
from stage1_core.errors import Stage1Error
from stage1_core.metrics.suite import Evaluation
from stage1_core.policy.comparison import PolicyComparison
from tasks._workspace import workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "stage1"
STEP_TAG = "stage1.step"
PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"


def client() -> MlflowClient:
    """A client of the server that ``MLFLOW_TRACKING_URI`` names."""
    from mlflow import MlflowClient

    return MlflowClient()


@contextmanager
def introduced() -> Iterator[None]:
    """For the question with which work begins. Raises `Stage1Error` where the server does not know who asks."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "UNAUTHENTICATED":
            raise
        raise Stage1Error(
            "the MLflow server that MLFLOW_TRACKING_URI names asks for a user and a password; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those that it knows, for deployed runs in the "
            "environment of their workers"
        ) from error


def experiment_id() -> str:
    """The project's experiment, made on first use with its files in the workspace."""
    mlflow = client()
    with introduced():
        found = mlflow.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if mlflow.tracking_uri.startswith("sqlite:"):
        location = (workspace() / "mlflow").as_uri()
    return str(mlflow.create_experiment(EXPERIMENT, artifact_location=location))


def find_or_start(step: str, name: str, *, parent: str | None = None) -> str:
    """Id of the run that records ``step`` (a digest), below ``parent`` where given; started when there is none."""
    mlflow, experiment = client(), experiment_id()
    wanted = f"tags.`{STEP_TAG}` = '{step}'" + (f" and tags.`{PARENT_TAG}` = '{parent}'" if parent else "")
    found = mlflow.search_runs([experiment], wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {STEP_TAG: step, NAME_TAG: name} | ({PARENT_TAG: parent} if parent else {})
    return str(mlflow.create_run(experiment, tags=tags).info.run_id)


def log_metrics(run_id: str, values: Mapping[str, float | None], *, step: int = 0) -> None:
    """One request for all values. Undefined ones are left out: MLflow has no word for them."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    defined = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    client().log_batch(run_id, metrics=[Metric(name, value, now, step) for name, value in defined.items()])


def log_parameters(run_id: str, config: FrozenModel) -> None:
    """Every leaf of the configuration under its dotted name. Configurations hold no secrets."""
    from mlflow.entities import Param

    leaves = flatten(config.model_dump(mode="json"))
    known = client().get_run(run_id).data.params
    params = [Param(name, str(value)[:6000]) for name, value in leaves.items() if name not in known]
    for start in range(0, len(params), 100):
        client().log_batch(run_id, params=params[start : start + 100])


def flatten(value: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings and lists as one mapping from dotted names to leaves."""
    if isinstance(value, Mapping):
        parts = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        parts = [(str(index), part) for index, part in enumerate(value)]
    else:
        return {prefix: value}
    return {
        name: leaf for key, part in parts for name, leaf in flatten(part, f"{prefix}.{key}" if prefix else key).items()
    }


def log_phase(run_id: str, splits: SplitSummary, evaluation: Evaluation, folders: Mapping[str, Path]) -> None:
    """Data sets, metrics with bounds, and the files of ``folders`` by name. Said again, it changes nothing."""
    log_datasets(run_id, splits)
    log_metrics(run_id, evaluation_metrics(evaluation))
    for name, folder in folders.items():
        client().log_artifacts(run_id, str(folder), name)


def log_datasets(run_id: str, splits: SplitSummary) -> None:
    """Record the rows of each purpose by their digest, with the purpose as context; no picture is copied."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = canonical_json({"ledger": splits.ledger_digest}).decode()
    inputs = [
        DatasetInput(
            Dataset(name=purpose.value, digest=digest[:36], source_type="stage1-ledger", source=source),
            tags=[InputTag("mlflow.data.context", purpose.value)],
        )
        for purpose, digest in splits.rows_digests.items()
    ]
    client().log_inputs(run_id, datasets=inputs)


def evaluation_metrics(evaluation: Evaluation) -> dict[str, float | None]:
    """Flat names for MLflow: numbers with the ends of their intervals, counted rates with exact bounds and trials."""
    model = evaluation.model
    metrics: dict[str, float | None] = {
        "rows": model.rows,
        "positives": model.positives,
        "majority_accuracy": model.majority_accuracy,
    }
    for name, interval in evaluation.intervals.items():
        metrics[name] = interval.value
        metrics[f"{name}_interval_lower"] = interval.lower
        metrics[f"{name}_interval_upper"] = interval.upper
    counted = {name: value for name, value in evaluation.exits if isinstance(value, CountedRisk)}
    for name, risk in counted.items():
        metrics[name] = risk.rate
        metrics[f"{name}_lower"] = risk.lower_bound
        metrics[f"{name}_upper"] = risk.upper_bound
        metrics[f"{name}_trials"] = risk.trials
    return metrics


def comparison_metrics(comparison: PolicyComparison) -> dict[str, float | None]:
    """Flat names for MLflow: each paired difference with the ends of its interval."""
    metrics: dict[str, float | None] = {}
    for name, interval in comparison.differences.items():
        metrics[f"difference_{name}"] = interval.value
        metrics[f"difference_{name}_lower"] = interval.lower
        metrics[f"difference_{name}_upper"] = interval.upper
    return metrics


def finish(run_id: str, *, succeeded: bool) -> None:
    """Close a run as finished or as failed."""
    client().set_terminated(run_id, "FINISHED" if succeeded else "FAILED")
