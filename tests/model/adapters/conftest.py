from __future__ import annotations

import functools

import pytest
import torch

from stage1_core.model.backbone import Backbone, load_backbone
from tests.model.adapters.backbones import CONVNETS, VITS


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def backbone_of(tmp_path_factory):
    """Backbones by name, each loaded once: adapting one leaves it as it is."""
    makers = CONVNETS | {name: architecture.make for name, architecture in VITS.items()}

    @functools.cache
    def load(name: str) -> Backbone:
        return load_backbone(makers[name](tmp_path_factory.mktemp(name)), device="cpu")

    return load
