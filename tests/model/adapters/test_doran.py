"""DoRAN against its formula written out, and against DoRA where it must be one."""

from __future__ import annotations

import pytest
import torch
from peft import inject_adapter_in_model
from torch.nn import functional

from stage1_core.model.adapters.adapted import adapt, adapted_modules, merge
from stage1_core.model.adapters.config import DoraAdapterConfig, DoranAdapterConfig
from stage1_core.model.adapters.doran import DoranLoraConfig
from tests.model.adapters.backbones import pixels_for, trained

RANK, ALPHA = 3, 6
SCALING = ALPHA / RANK


def layer_of(tau=0.3, dropout=0.0, seed=0):
    """One adapted linear layer, 5 inputs and 7 outputs."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(5, 7))
    config = DoranLoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=["0"], initial_tau=tau)
    return inject_adapter_in_model(config, network)[0]


def moved(layer):
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_(std=0.3)
        layer.lora_magnitude_vector["default"].weight.mul_(torch.linspace(0.5, 1.5, 7))
        layer.lora_magnitude_vector["default"].raw_tau.add_(0.4)
    return layer


def parts(layer):
    """W, bias, A, B, m, raw τ."""
    magnitude = layer.lora_magnitude_vector["default"]
    base = layer.base_layer
    return (
        base.weight,
        base.bias,
        layer.lora_A["default"].weight,
        layer.lora_B["default"].weight,
        *(
            magnitude.weight,
            magnitude.raw_tau,
        ),
    )


def written_out(layer, parts):
    """W' of the paper; norms of rows, constant in the backward pass."""
    weight, _, down, up, magnitude, raw_tau = parts
    direction = weight + SCALING * up @ down
    norm = torch.linalg.norm(direction, dim=1).detach()
    return (magnitude / (norm + functional.softplus(raw_tau))).unsqueeze(1) * direction


@pytest.mark.parametrize("tau", [1e-6, 0.01, 0.3, 10.0])
def test_a_new_layer_gives_bit_for_bit_what_it_gave(tau):
    layer = layer_of(tau)
    inputs = torch.randn(4, 5)
    assert torch.equal(layer(inputs), layer.base_layer(inputs))
    assert torch.equal(layer.eval()(inputs), layer.base_layer(inputs))


def test_tau_and_magnitudes_begin_where_they_should():
    layer = layer_of(tau=0.3)
    magnitude = layer.lora_magnitude_vector["default"]
    assert magnitude.tau.item() == pytest.approx(0.3, rel=1e-6)
    torch.testing.assert_close(magnitude.weight, torch.linalg.norm(layer.base_layer.weight, dim=1) + 0.3)
    assert {name for name, value in layer.named_parameters() if value.requires_grad} == {
        "lora_A.default.weight",
        "lora_B.default.weight",
        "lora_magnitude_vector.default.weight",
        "lora_magnitude_vector.default.raw_tau",
    }


def test_outputs_are_those_of_the_formula():
    layer = moved(layer_of())
    inputs = torch.randn(4, 5)
    expected = functional.linear(inputs, written_out(layer, parts(layer)), layer.base_layer.bias)
    torch.testing.assert_close(layer(inputs), expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_formula_and_reach_tau():
    layer = moved(layer_of())
    inputs, target = torch.randn(4, 5), torch.randn(4, 7)
    copies = [value.detach().clone().requires_grad_() for value in parts(layer)]
    (layer(inputs) - target).square().sum().backward()
    (functional.linear(inputs, written_out(layer, copies), copies[1]) - target).square().sum().backward()
    for ours, expected in zip(parts(layer)[2:], copies[2:], strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-4, atol=1e-5)
    assert parts(layer)[-1].grad.abs() > 1e-3
    assert parts(layer)[0].grad is None


def test_with_dropout_the_formula_holds_for_the_inputs_that_are_left():
    layer = moved(layer_of(dropout=0.5))
    inputs = torch.randn(4, 5)
    torch.manual_seed(1)
    found = layer.train()(inputs)
    torch.manual_seed(1)
    left = functional.dropout(inputs, 0.5)
    weight, bias = layer.base_layer.weight, layer.base_layer.bias
    expected = functional.linear(left, written_out(layer, parts(layer)) - weight) + functional.linear(
        inputs, weight, bias
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_merged_layer_has_the_weight_of_the_formula():
    layer = moved(layer_of())
    expected = written_out(layer, parts(layer)).detach()
    layer.merge(safe_merge=True)
    torch.testing.assert_close(layer.base_layer.weight, expected, rtol=1e-5, atol=1e-6)
    layer.unmerge()
    torch.testing.assert_close(layer.base_layer.weight, layer_of().base_layer.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", ["dinov3", "timm_vit"])
def test_without_tau_it_is_dora(backbone_of, name, dropout):
    backbone, shared = backbone_of(name), {"rank": RANK, "dropout": dropout, "targets": "all_linear"}
    dora = adapt(backbone, DoraAdapterConfig(**shared), seed=1)
    doran = adapt(backbone, DoranAdapterConfig(initial_tau=1e-9, **shared), seed=1)
    trained(dora)
    with torch.no_grad():
        ours, theirs = dict(doran.named_parameters()), dict(dora.named_parameters())
        assert {key for key in ours if key not in theirs} == {key for key in ours if key.endswith(".raw_tau")}
        for key, value in theirs.items():
            ours[key].copy_(value)
    for model in (dora, doran):
        model.train()
    pixels, found = pixels_for(backbone), []
    for model in (dora, doran):
        torch.manual_seed(2)
        found.append(model(pixels))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(merge(doran)(pixels), merge(dora)(pixels), rtol=1e-6, atol=2e-6)


def test_a_larger_tau_at_the_same_magnitudes_shrinks_the_layer():
    layer = layer_of()
    before = torch.linalg.norm(written_out(layer, parts(layer)))
    with torch.no_grad():
        layer.lora_magnitude_vector["default"].raw_tau.add_(1)
    assert torch.linalg.norm(written_out(layer, parts(layer))) < before
    inputs = torch.randn(4, 5)
    bias = layer.base_layer.bias
    assert (layer(inputs) - bias).norm() < (layer.base_layer(inputs) - bias).norm()


def test_under_autocast_a_new_layer_changes_nothing():
    layer, inputs = layer_of(), torch.randn(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(inputs), layer.base_layer(inputs))


def test_under_autocast_outputs_and_gradients_are_nearly_the_same():
    inputs, passes = torch.randn(64, 5), []
    for autocast in (True, False):
        layer = moved(layer_of())
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = layer(inputs)
        outputs.float().square().mean().backward()
        passes.append([outputs.float(), *(part.grad for part in parts(layer)[2:])])
    assert outputs.dtype == torch.float32
    for half, whole in zip(*passes, strict=True):
        assert (half - whole).norm() < 0.03 * whole.norm()


def test_layers_of_peft_itself_refuse_the_variant_and_do_not_take_it_for_dora():
    config = DoranLoraConfig(r=RANK, target_modules=["0"])
    config._custom_modules = None
    with pytest.raises(ValueError, match="use_doran"):
        inject_adapter_in_model(config, torch.nn.Sequential(torch.nn.Linear(5, 7)))


def test_the_layers_of_a_network_have_one_tau_each(backbone_of):
    adapted = adapt(backbone_of("dinov3"), DoranAdapterConfig(initial_tau=0.2), seed=0)
    taus = [
        adapted.base.network.get_submodule(path).lora_magnitude_vector["default"].tau.item()
        for path in adapted_modules(adapted)
    ]
    assert taus == pytest.approx([0.2] * 4)
