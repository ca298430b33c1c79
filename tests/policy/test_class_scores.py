from __future__ import annotations

import numpy as np

from stage1_core.policy.class_scores import class_scores
from stage1_core.splits import Purpose
from tests.bundle.toys import fitted_policy, gate_policy, no_exit_policy, scrc_policy, toy_predictions

SCORES = toy_predictions(Purpose.FINAL_EVALUATION, 200, 5).scores


def test_a_policy_that_calibrates_no_classes_goes_by_the_scores_of_the_model():
    for policy in (fitted_policy(), gate_policy(), no_exit_policy()):
        assert class_scores(policy, SCORES) is SCORES


def test_exits_of_a_policy_that_calibrates_have_the_likelier_calibrated_class():
    policy = scrc_policy()
    calibrated, decisions = class_scores(policy, SCORES), policy.decide(SCORES)
    np.testing.assert_array_equal(calibrated.logits, policy.class_calibrator.class_logits(SCORES.logits))
    assert 0 < np.count_nonzero(decisions.exited) < len(SCORES)
    np.testing.assert_array_equal(decisions.label[decisions.exited], calibrated.likelier_class[decisions.exited])
