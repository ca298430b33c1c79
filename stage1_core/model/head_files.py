"""A fitted head as two files: weights as safetensors, shape as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from safetensors.torch import save

from stage1_core.config import FrozenModel
from stage1_core.model.head import Head, HeadConfig, build_head
from stage1_core.model.state_dict import load_whole, read_state_dict

WEIGHTS_FILE = "head.safetensors"
SHAPE_FILE = "head.json"


class HeadShape(FrozenModel):
    """What a head must look like to take the weights."""

    in_features: Annotated[int, Field(ge=1)]
    config: HeadConfig


def save_head(head: Head, folder: Path) -> None:
    """Write both files; equal heads give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    (folder / WEIGHTS_FILE).write_bytes(save(state))
    shape = HeadShape(in_features=head.in_features, config=head.config)
    (folder / SHAPE_FILE).write_text(shape.to_json(), encoding="utf-8")


def load_head(folder: Path) -> Head:
    """Read what `save_head` wrote, in eval mode. Raises `ModelError` when weights and shape do not fit."""
    shape = HeadShape.from_json_file(folder / SHAPE_FILE)
    head = build_head(shape.in_features, shape.config, seed=0)
    load_whole(head, read_state_dict(folder / WEIGHTS_FILE), source=WEIGHTS_FILE, may_lack=())
    head.eval()
    return head
