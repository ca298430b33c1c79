from __future__ import annotations

import numpy as np
import pytest
import torch

from stage1_core.errors import ModelError, Stage1Error
from stage1_core.model.classifier import Classifier, evaluating, predict, predict_features
from stage1_core.model.head import HeadConfig, build_head


class MeanColour(torch.nn.Module):
    """A backbone of three features, with one parameter and a dropout, which eval mode must switch off."""

    def __init__(self, *, frozen: bool) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3), requires_grad=not frozen)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, pixels):
        return self.dropout(pixels.mean(dim=(2, 3)) * self.scale)


def names(count):
    return np.array([f"source/{index}" for index in range(count)])


@pytest.fixture
def head():
    return build_head(3, HeadConfig(hidden=4, gated=True), seed=0)


def test_a_frozen_backbone_stays_in_eval_mode_and_gets_no_gradient(head):
    classifier = Classifier(MeanColour(frozen=True), head).train()
    output = classifier(torch.rand(5, 3, 2, 2))
    output.class_logits.sum().backward()
    assert not classifier.backbone.training
    assert classifier.head.training
    assert classifier.backbone.scale.grad is None
    assert classifier.head.trunk.weight.grad is not None


def test_a_backbone_with_trainable_parameters_is_trained(head):
    classifier = Classifier(MeanColour(frozen=False), head).train()
    classifier(torch.rand(5, 3, 2, 2)).class_logits.sum().backward()
    assert classifier.backbone.training
    assert classifier.backbone.scale.grad is not None


def test_scores_of_features_do_not_depend_on_the_batch_size(head):
    features = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    whole = predict_features(head, features, names(7))
    parts = predict_features(head, features, names(7), batch_size=2)
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=1e-5)
    np.testing.assert_allclose(parts.gate_logits, whole.gate_logits, rtol=1e-5)
    np.testing.assert_allclose(parts.aux_logits, whole.aux_logits, rtol=1e-5)
    assert parts.ids.tolist() == names(7).tolist()


def test_scores_are_float64_logits_without_dropout(head):
    head.train()
    features = np.ones((2, 3), dtype=np.float32)
    scores = predict_features(head, features, names(2))
    with evaluating(head), torch.no_grad():
        expected = head(torch.ones(2, 3))
    assert scores.logits.dtype == scores.gate_logits.dtype == scores.aux_logits.dtype == np.float64
    np.testing.assert_array_equal(scores.logits, expected.class_logits.double().numpy())
    np.testing.assert_array_equal(scores.gate_logits, expected.gate_logits.double().numpy())
    np.testing.assert_array_equal(scores.aux_logits, expected.aux_logits.double().numpy())
    assert head.training


def test_a_head_without_a_gate_gives_neither_gate_nor_auxiliary_logits():
    plain = build_head(3, HeadConfig(hidden=4), seed=0)
    scores = predict_features(plain, np.ones((2, 3), dtype=np.float32), names(2))
    assert scores.gate_logits is scores.aux_logits is None


def test_features_may_be_a_read_only_memory_map(head, tmp_path):
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    expected = predict_features(head, features, names(5))
    np.testing.assert_array_equal(predict_features(head, mapped, names(5)).logits, expected.logits)


def test_pictures_give_the_scores_of_their_features(head):
    pixels = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    classifier = Classifier(MeanColour(frozen=True), head)
    scores = predict(classifier, [(names(4)[:3], pixels[:3]), (names(4)[3:], pixels[3:])], device="cpu")
    expected = predict_features(head, pixels.mean(dim=(2, 3)).numpy(), names(4))
    np.testing.assert_allclose(scores.logits, expected.logits, rtol=1e-6)


def test_no_pictures_give_no_scores(head):
    assert len(predict_features(head, np.empty((0, 3), dtype=np.float32), names(0))) == 0


def test_a_row_too_few_is_refused(head):
    with pytest.raises(ModelError, match="2 feature rows for 3 ids"):
        predict_features(head, np.ones((2, 3), dtype=np.float32), names(3))


def test_a_broken_model_is_refused_by_name_of_the_picture(head):
    features = np.array([[1, 1, 1], [np.nan, 1, 1]], dtype=np.float32)
    with pytest.raises(Stage1Error, match="source/1 are not finite"):
        predict_features(head, features, names(2))
