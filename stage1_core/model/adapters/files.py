"""A trained adapter as two files: its tensors alone as safetensors, what they are as JSON. No pickle, no backbone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors.torch import save
from torch import Tensor

from stage1_core.config import FrozenModel
from stage1_core.digests import digest_of_bytes, digest_of_file
from stage1_core.errors import ModelError
from stage1_core.model.adapters.adapted import AdaptedBackbone, adapt
from stage1_core.model.adapters.config import AdapterConfig
from stage1_core.model.backbone import Backbone
from stage1_core.model.state_dict import read_state_dict

WEIGHTS_FILE = "adapter.safetensors"
DESCRIPTION_FILE = "adapter.json"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AdapterDescription(FrozenModel):
    """What the tensors are: peft's own files do not tell a DoRAN from a DoRA, and would be read as the wrong one."""

    format: Literal[1] = 1
    adapter: AdapterConfig
    weights_sha256: Digest
    """Of the file with the tensors."""
    frozen_sha256: Digest
    """Of all tensors of the network that the adapter leaves as they are."""


def save_adapter(adapted: AdaptedBackbone, folder: Path) -> None:
    """Write the trained parameters to ``folder`` (created); equal adapters give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save({name: value.detach().cpu().contiguous() for name, value in _trained(adapted).items()})
    (folder / WEIGHTS_FILE).write_bytes(content)
    description = AdapterDescription(
        adapter=adapted.config, weights_sha256=digest_of_bytes(content), frozen_sha256=_digest_of_frozen(adapted)
    )
    (folder / DESCRIPTION_FILE).write_text(description.to_json(), encoding="utf-8")


def load_adapter(backbone: Backbone, folder: Path) -> AdaptedBackbone:
    """A copy of ``backbone`` with the adapter that `save_adapter` wrote.

    Raises `ModelError` where the files are damaged, do not fit each other, or are of another backbone.
    """
    description = AdapterDescription.from_json_file(folder / DESCRIPTION_FILE)
    file = folder / WEIGHTS_FILE
    if not file.is_file() or digest_of_file(file) != description.weights_sha256:
        raise ModelError(f"{file} is missing or was changed after it was written; copy the adapter again")
    adapted = adapt(backbone, description.adapter, seed=0)
    if _digest_of_frozen(adapted) != description.frozen_sha256:
        raise ModelError(
            f"the adapter in {folder} was trained on a backbone with other weights than those of "
            f"{backbone.config.model}; load the one it was trained on"
        )
    _load(_trained(adapted), read_state_dict(file), source=f"{file}, as {description.adapter.kind},")
    return adapted


def _trained(adapted: AdaptedBackbone) -> dict[str, Tensor]:
    named = adapted.base.network.named_parameters()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


@torch.no_grad()
def _load(parameters: dict[str, Tensor], weights: dict[str, Tensor], *, source: str) -> None:
    shapes, given = ({name: tuple(value.shape) for name, value in each.items()} for each in (parameters, weights))
    if shapes != given:
        differing = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise ModelError(
            f"{source} does not fit in {len(differing)} tensors, e.g. {differing[0]}; {DESCRIPTION_FILE} is not theirs"
        )
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


def _digest_of_frozen(adapted: AdaptedBackbone) -> str:
    trained = _trained(adapted).keys()
    total = hashlib.sha256()
    for name, value in sorted(adapted.base.network.state_dict().items()):
        if name not in trained:
            total.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\n".encode())
            total.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return total.hexdigest()
