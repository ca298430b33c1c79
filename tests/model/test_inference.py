from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stage1_core.model.backbone import Backbone
from stage1_core.model.backbone_config import Normalization, RandomWeights, TimmBackboneConfig
from stage1_core.model.inference import BatchedForward
from stage1_core.model.network import LoadedNetwork

PICTURES = torch.randint(0, 256, (10, 4, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class SmallMemory(nn.Module):
    """Means of the channels, for as many pictures as its memory holds."""

    def __init__(self, room: int, error: type[RuntimeError], text: str) -> None:
        super().__init__()
        self.room, self.error, self.text = room, error, text
        self.sizes: list[int] = []

    def forward(self, pixels: Tensor) -> Tensor:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise self.error(self.text)
        return pixels.mean(dim=(2, 3))


def backbone_with(room: int, error: type[RuntimeError] = torch.OutOfMemoryError, text: str = "full") -> Backbone:
    normalization = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
    network = SmallMemory(room, error, text)
    loaded = LoadedNetwork(network, lambda module, pixels: module(pixels), None, 3, (4, 4), normalization)
    return Backbone(TimmBackboneConfig(model="toy", weights=RandomWeights()), loaded)


def expected() -> np.ndarray:
    return (PICTURES.float() / 255).mean(dim=(1, 2)).numpy()


def test_every_pass_has_the_same_size_and_padding_is_dropped():
    backbone = backbone_with(100)

    features = BatchedForward(backbone, 4)(PICTURES)

    assert backbone.network.sizes == [4, 4, 4]
    assert np.allclose(features, expected(), atol=1e-6)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError, "full"),
        (RuntimeError, "CUDA error: out of memory"),
        (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    ],
)
def test_out_of_memory_halves_the_batch_for_good_and_says_so(caplog, error, text):
    backbone = backbone_with(2, error, text)
    forward = BatchedForward(backbone, 8)

    features = forward(PICTURES)

    assert forward.batch_size == 2
    assert backbone.network.sizes == [8, 4, 2, 2, 2, 2, 2]
    assert "out of memory with 8 pictures a batch; going on with 4" in caplog.text
    assert np.allclose(features, expected(), atol=1e-6)


def test_out_of_memory_with_a_single_picture_is_raised():
    with pytest.raises(torch.OutOfMemoryError):
        BatchedForward(backbone_with(0), 4)(PICTURES)


def test_other_errors_are_raised_at_once():
    backbone = backbone_with(0, RuntimeError, "shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        BatchedForward(backbone, 4)(PICTURES)

    assert backbone.network.sizes == [4]
