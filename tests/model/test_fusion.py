from __future__ import annotations

import pytest
import torch
from torch import nn

from stage1_core.model.backbone import Backbone, load_backbone
from stage1_core.model.backbone_config import EFFICIENTNET_LITE0, Normalization, RandomWeights, TimmBackboneConfig
from stage1_core.model.fusion import for_inference
from stage1_core.model.network import LoadedNetwork

ALL_FOLDED = ["test_efficientnet", "test_resnet"]
WITHOUT_BATCH_NORM = ["test_vit", "test_convnext"]


def backbone_with_lived_in_norms(model: str) -> Backbone:
    """Untrained, but with statistics that are not the neutral ones of a fresh batch norm."""
    backbone = load_backbone(TimmBackboneConfig(model=model, weights=RandomWeights()), device="cpu")
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.uniform_(0.5, 2, generator=generator)
            module.bias.normal_(generator=generator)
    return backbone


def batch_norms(backbone: Backbone) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def relative_difference(first: Backbone, second: Backbone) -> float:
    pixels = torch.rand(2, 3, *first.input_size, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        expected = first(pixels)
        return float((second(pixels) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("model", ALL_FOLDED + WITHOUT_BATCH_NORM)
def test_features_are_equal_within_a_ten_thousandth(model):
    backbone = backbone_with_lived_in_norms(model)

    assert relative_difference(backbone, for_inference(backbone)) < 1e-4


@pytest.mark.parametrize("model", ALL_FOLDED)
def test_every_batch_norm_after_a_convolution_is_folded(model):
    backbone = backbone_with_lived_in_norms(model)

    assert batch_norms(backbone) > 5
    assert batch_norms(for_inference(backbone)) == 0


def test_the_packaged_efficientnet_folds_to_equal_features():
    backbone = load_backbone(EFFICIENTNET_LITE0, device="cpu")
    folded = for_inference(backbone)

    assert batch_norms(folded) == 0
    assert relative_difference(backbone, folded) < 1e-4


def test_the_original_is_left_as_it_was():
    backbone = backbone_with_lived_in_norms("test_resnet")
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    for_inference(backbone)

    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


class NormBesideShortcut(nn.Module):
    """Adds a convolution's raw output to its normalised one: folding would change the raw one too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        raw = self.convolution(pixels)
        return (raw + self.norm(raw)).mean(dim=(2, 3))


def test_where_folding_would_change_features_the_norms_stay(caplog):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NormBesideShortcut()
    network.norm.running_mean.fill_(0.5)
    normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    config = TimmBackboneConfig(model="toy", weights=RandomWeights())
    loaded = LoadedNetwork(network, lambda net, pixels: net(pixels), None, 4, (8, 8), normalization)
    backbone = Backbone(config, loaded)

    unfolded = for_inference(backbone)

    assert batch_norms(unfolded) == 1
    assert relative_difference(backbone, unfolded) < 1e-6
    assert "not folded" in caplog.text
