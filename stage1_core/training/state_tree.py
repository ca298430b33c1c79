"""Nested states as plain JSON and named tensors, and back: checkpoints without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stage1_core.errors import CheckpointError

Tree = Any
"""Tensors, numpy arrays, numbers, text, None, and dicts, lists and tuples of them."""


def copy_tree(value: Tree) -> Tree:
    """A deep copy with all tensors on the CPU."""
    json_part, tensors = pack(value)
    return unpack(json_part, {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()})


def pack(value: Tree) -> tuple[Tree, dict[str, Tensor]]:
    """A JSON value in which tensors are named, and the tensors by these names. Tuples and integer keys survive."""
    tensors: dict[str, Tensor] = {}

    def walk(part: Tree, path: str) -> Tree:
        if isinstance(part, torch.Tensor):
            tensors[path] = part.detach()
            return {"tensor": path}
        if isinstance(part, np.ndarray):
            tensors[path] = torch.from_numpy(part.copy())
            return {"array": path}
        if isinstance(part, dict):
            return {"items": [[key, walk(item, f"{path}.{key}")] for key, item in part.items()]}
        if isinstance(part, list | tuple):
            kind = "list" if isinstance(part, list) else "tuple"
            if all(isinstance(item, int | float | str | None) for item in part):
                return {f"flat {kind}": list(part)}  # the python generator's state is six hundred numbers
            return {kind: [walk(item, f"{path}.{index}") for index, item in enumerate(part)]}
        if part is None or isinstance(part, bool | int | float | str):
            return part
        raise CheckpointError(f"a {type(part).__name__} at {path or 'the top'} cannot be stored without pickle")

    return walk(value, ""), tensors


def unpack(value: Tree, tensors: dict[str, Tensor]) -> Tree:
    """What was packed. Raises `CheckpointError` where a tensor is missing."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in ("tensor", "array"):
        if content not in tensors:
            raise CheckpointError(f"the state names a tensor {content} that its file lacks")
        return tensors[content] if kind == "tensor" else tensors[content].numpy()
    if kind == "items":
        return {key: unpack(item, tensors) for key, item in content}
    parts = content if kind.startswith("flat ") else [unpack(item, tensors) for item in content]
    return tuple(parts) if kind.endswith("tuple") else list(parts)
