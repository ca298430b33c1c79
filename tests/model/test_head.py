from __future__ import annotations

import numpy as np
import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.head import HeadConfig, build_head


@pytest.mark.parametrize(("features", "parameters"), [(384, 297_218), (768, 592_130), (1024, 788_738), (1280, 985_346)])
def test_the_default_head_has_the_historical_number_of_parameters(features, parameters):
    head = build_head(features, HeadConfig(), seed=0)
    assert sum(parameter.numel() for parameter in head.parameters()) == parameters


def test_the_plain_head_is_linear_relu_linear():
    head = build_head(6, HeadConfig(hidden=5), seed=1).eval()
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    reference = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(5, 2)
    ).eval()
    reference.load_state_dict(
        dict(zip(("0.weight", "0.bias", "3.weight", "3.bias"), head.state_dict().values(), strict=True))
    )
    assert torch.equal(head(features).class_logits, reference(features))


def test_a_plain_head_has_neither_gate_nor_auxiliary_logits():
    output = build_head(6, HeadConfig(hidden=5), seed=1)(torch.zeros(4, 6))
    assert output.gate_logits is None
    assert output.aux_logits is None


def test_a_gated_head_adds_a_gate_and_auxiliary_logits_on_the_shared_trunk():
    head = build_head(6, HeadConfig(hidden=5, gated=True), seed=1)
    output = head(torch.ones(4, 6)).float()
    assert output.gate_logits is not None
    assert output.aux_logits is not None
    assert output.gate_logits.shape == (4,)
    assert output.aux_logits.shape == (4, 2)
    (output.gate_logits.sum() + output.aux_logits.sum()).backward()
    assert head.trunk.weight.grad is not None
    assert head.classes.weight.grad is None


def test_a_gate_begins_nearly_open_and_equal_for_all_pictures():
    head = build_head(6, HeadConfig(hidden=5, gated=True), seed=1)
    gate = head(torch.randn(4, 6, generator=torch.Generator().manual_seed(2))).gate_logits
    assert gate.tolist() == [1.5] * 4
    assert gate.sigmoid()[0].item() == pytest.approx(0.82, abs=0.005)


class TestAGateThatReadsTheMargin:
    @pytest.fixture
    def head(self):
        return build_head(6, HeadConfig(hidden=5, gated=True, gate_reads="hidden_and_margin"), seed=1).eval()

    @pytest.fixture
    def features(self):
        return torch.randn(50, 6, generator=torch.Generator().manual_seed(2))

    def test_it_begins_with_the_ranking_of_the_confidence(self, head, features):
        output = head(features)
        margin = (output.class_logits[:, 1] - output.class_logits[:, 0]).abs()
        assert torch.equal(output.gate_logits.argsort(), margin.argsort())

    def test_its_gradient_reaches_factor_and_gate_and_not_the_classes(self, head, features):
        head(features).gate_logits.sum().backward()
        assert head.margin_factor.grad is not None
        assert head.gate.weight.grad is not None
        assert head.classes.weight.grad is None

    def test_one_number_is_all_that_it_adds(self, head):
        plain = build_head(6, HeadConfig(hidden=5, gated=True), seed=1).state_dict()
        assert set(head.state_dict()) - set(plain) == {"margin_factor"}
        assert all(torch.equal(weight, head.state_dict()[name]) for name, weight in plain.items())

    def test_without_a_gate_there_is_nothing_to_read(self):
        head = build_head(6, HeadConfig(hidden=5, gate_reads="hidden_and_margin"), seed=1)
        assert set(head.state_dict()) == set(build_head(6, HeadConfig(hidden=5), seed=1).state_dict())


def test_trunk_and_classes_do_not_depend_on_whether_there_is_a_gate():
    plain, gated = (build_head(6, HeadConfig(hidden=5, gated=gated), seed=1).state_dict() for gated in (False, True))
    assert all(torch.equal(weight, gated[name]) for name, weight in plain.items())


def test_an_output_without_a_gate_says_what_to_do():
    with pytest.raises(ModelError, match=r"head has no gate; set head\.gated to true"):
        build_head(6, HeadConfig(hidden=5), seed=1)(torch.zeros(4, 6)).gated()


def test_equal_seeds_give_equal_heads_and_other_seeds_others():
    first, again, other = (build_head(8, HeadConfig(), seed=seed).trunk.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_building_a_head_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build_head(8, HeadConfig(gated=True), seed=3)
    assert torch.equal(before, torch.get_rng_state())


def test_initial_weights_fill_the_range_of_a_linear_layer():
    weights = build_head(100, HeadConfig(), seed=0).trunk.weight.detach().numpy()
    assert np.abs(weights).max() <= 0.1
    assert np.isclose(weights.std(), 0.1 / np.sqrt(3), rtol=0.01)


def test_features_of_another_width_are_refused_with_both_widths():
    with pytest.raises(ModelError, match=r"\(n, 6\), got \(2, 7\)"):
        build_head(6, HeadConfig(), seed=0)(torch.zeros(2, 7))
