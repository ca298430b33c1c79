from __future__ import annotations

import pytest
import torch

from stage1_core.model.backbone import Backbone, load_backbone
from tests.adaptation.toys import drawn_pictures
from tests.model.backbone_folders import dinov3_vit


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Networks this small are slower on several threads, and much slower where other tests use the same cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def vit_config(tmp_path_factory):
    return dinov3_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture
def backbone(vit_config) -> Backbone:
    return load_backbone(vit_config, device="cpu")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return drawn_pictures(tmp_path_factory.mktemp("pictures"))
