"""Whether a retraining has anything to do, and the run that decides about what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments.runner import EntrypointType

from flows.release import promotion
from stage1_core.errors import NothingToDo
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.retraining import RetrainConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.promotion.config import HumanApproval, PromotionConfig
from tasks.phase import ReleasedPhase
from tasks.registry import Registered
from tasks.retraining import TRAINED_ON_TAG, Retrained, remember_training, request_promotion, require_news
from tasks.runs import RunRef
from tests.integration.toys import three_phases

CANDIDATE = Registered(name="toy", version="1")
DATA = "d" * 64

pytestmark = pytest.mark.usefixtures("workspace")


@flow
def asking(config: PromotionConfig, mlflow_run_id: str) -> Retrained:
    run = RunRef(run_id="20010203_040506", mlflow_run_id=mlflow_run_id)
    return request_promotion(config, ReleasedPhase.model_construct(registered=CANDIDATE, run=run))


class TestNews:
    @pytest.fixture
    def config(self, tmp_path) -> RetrainConfig:
        return RetrainConfig(ladder=LadderConfig(top=three_phases(tmp_path, softmax=SoftmaxPolicyConfig())))

    @pytest.fixture
    def known(self, config) -> RetrainConfig:
        """It is registered what this gives."""
        client = MlflowClient()
        client.create_registered_model(CANDIDATE.name)
        client.create_model_version(CANDIDATE.name, "s3://nowhere/model")
        remember_training.fn(config.identity(DATA), Retrained(candidate=CANDIDATE, promotion_run=None))
        return config

    def test_what_is_registered_nowhere_is_news(self, config):
        assert require_news(config, DATA) == config.identity(DATA)

    def test_what_is_registered_is_nothing_to_do_and_says_as_what(self, known):
        with pytest.raises(NothingToDo, match="those of toy version 1: nothing to retrain") as outcome:
            require_news(known, DATA)
        assert Retrained.model_validate(outcome.value.standing).candidate == CANDIDATE

    def test_other_data_are_news(self, known):
        assert require_news(known, "e" * 64)

    def test_another_configuration_is_news(self, known):
        top = known.ladder.top
        comparison = top.comparison.model_copy(update={"min_coverage_gain": 0.2})
        changed = RetrainConfig(ladder=LadderConfig(top=top.model_copy(update={"comparison": comparison})))
        assert require_news(changed, DATA)

    def test_other_code_is_news(self, known, monkeypatch):
        monkeypatch.setattr("stage1_core.digests.core_source_digest", lambda: "c" * 64)
        assert require_news(known, DATA)

    def test_a_candidate_that_nobody_remembered_is_news(self, known):
        MlflowClient().delete_model_version_tag(CANDIDATE.name, CANDIDATE.version, TRAINED_ON_TAG)
        assert require_news(known, DATA)


class TestAsking:
    @pytest.fixture
    def deployed(self) -> Iterator[None]:
        """The deployment that decides, as long as the test lasts; nobody works for it."""
        made = promotion.to_deployment("promotion", entrypoint_type=EntrypointType.MODULE_PATH).apply()
        yield
        with get_client(sync_client=True) as server:
            server.delete_deployment(made)

    def test_without_a_deployment_nobody_decides_and_the_log_says_how_to(self, caplog):
        with caplog.at_level(logging.WARNING):
            assert asking(PromotionConfig(), "a") == Retrained(candidate=CANDIDATE, promotion_run=None)
        assert "decide with `stage1 promote toy`" in caplog.text

    @pytest.mark.usefixtures("deployed")
    def test_the_run_is_asked_about_this_version_with_these_margins(self):
        config = PromotionConfig(approval=HumanApproval(timeout_hours=5))
        asked = asking(config, "a").promotion_run
        with get_client(sync_client=True) as server:
            request = server.read_flow_run(asked).parameters["request"]
        assert (request["model"], request["candidate"]) == ("toy", "1")
        assert PromotionConfig.model_validate(request["config"]) == config

    @pytest.mark.usefixtures("deployed")
    def test_the_same_question_about_the_same_release_is_the_same_run(self):
        first = asking(PromotionConfig(), "a")
        assert asking(PromotionConfig(), "a") == first
        other_margins = asking(PromotionConfig(approval=HumanApproval()), "a")
        other_release = asking(PromotionConfig(), "of a registry that began anew")
        assert len({first.promotion_run, other_margins.promotion_run, other_release.promotion_run}) == 3
