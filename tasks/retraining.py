"""Tasks around a retraining: whether there is anything to do, and who decides about what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_link_artifact
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for

from stage1_core.config import FrozenModel
from stage1_core.errors import NothingToDo
from stage1_core.phases.retraining import RetrainConfig
from stage1_core.promotion.config import PromotionConfig, PromotionRequest
from tasks._task import effect
from tasks.phase import ReleasedPhase
from tasks.registry import Registered
from tasks.tracking import client

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TRAINED_ON_TAG = "stage1.trained_on"
PROMOTION_DEPLOYMENT = "promotion/promotion"


class Retrained(FrozenModel):
    """What came of a retraining."""

    candidate: Registered
    promotion_run: str | None
    """Id of the run that decides about the candidate; None where this server has no deployment that could."""


def require_news(config: RetrainConfig, fingerprint: str) -> str:
    """Identity of this retraining. Raises `NothingToDo` when what would come of it is registered already.

    ``fingerprint`` is that of the sources. No task of its own: the page would show "nothing to do" as a failed one.
    """
    identity = config.identity(fingerprint)
    known = client().search_model_versions(f"tags.`{TRAINED_ON_TAG}` = '{identity}'", max_results=1)
    if known:
        standing = Registered(name=known[0].name, version=str(known[0].version))
        raise NothingToDo(
            f"data, configuration and code are those of {standing.name} version {standing.version}: nothing to retrain",
            Retrained(candidate=standing, promotion_run=None).model_dump(mode="json"),
        )
    return identity


@effect
def request_promotion(config: PromotionConfig, released: ReleasedPhase) -> Retrained:
    """Start the deployment that decides about the candidate. The same question about the same release is the same run.

    The release is named by its MLflow run: version numbers begin anew with another registry.
    """
    candidate = released.registered
    request = PromotionRequest(model=candidate.name, candidate=candidate.version, config=config)
    try:
        run = cast(
            "FlowRun",
            run_deployment(
                PROMOTION_DEPLOYMENT,
                parameters={"request": request.model_dump(mode="json")},
                timeout=0,
                as_subflow=False,
                idempotency_key=f"promotion-{released.run.mlflow_run_id}-{request.digest()}",
            ),
        )
    except ObjectNotFound:
        get_run_logger().warning(
            "this server has no deployment %s: decide with `stage1 promote %s`", PROMOTION_DEPLOYMENT, candidate.name
        )
        return Retrained(candidate=candidate, promotion_run=None)
    show_promotion_run(run)
    return Retrained(candidate=candidate, promotion_run=str(run.id))


@effect
def remember_training(identity: str, outcome: Retrained) -> Retrained:
    """Tag the candidate with what it was trained on. Last, so that a retraining killed before is not taken for done."""
    client().set_model_version_tag(outcome.candidate.name, outcome.candidate.version, TRAINED_ON_TAG, identity)
    return outcome


def show_promotion_run(run: FlowRun) -> None:
    """Link the run that decides in the page of this one; a server without pages has none to link."""
    address = url_for(run)
    if address is not None:
        create_link_artifact(address, "promotion", key="promotion", description=run.name)
