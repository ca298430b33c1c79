"""Heads of the historical trainer: ``classifier_head.pth`` and ``checkpoint_epoch<n>.pth``."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from stage1_core.errors import CheckpointError
from stage1_core.model.head import CLASSES, Head, HeadConfig, build_head

_NAMES = {"0.weight": "trunk.weight", "0.bias": "trunk.bias", "3.weight": "classes.weight", "3.bias": "classes.bias"}
_NESTED = ("ema_state_dict", "model_state_dict")  # the averaged weights first: they are what was validated


def import_legacy_head(path: Path, *, dropout: float = 0.3) -> Head:
    """The head of an old ``.pth`` file, on the CPU; the file does not say its ``dropout``.

    Of a checkpoint the averaged weights are taken where it has them. Only tensors are unpickled
    (``weights_only=True``). Raises `CheckpointError` where the file is not such a head.
    """
    weights = _read(path)
    named = {name.removeprefix("_orig_mod."): tensor for name, tensor in weights.items()}
    if named.keys() != _NAMES.keys():
        raise CheckpointError(
            f"{path} holds {', '.join(sorted(named)[:6])}; a head of the historical trainer holds {', '.join(_NAMES)}"
        )
    hidden, in_features = named["0.weight"].shape
    shapes = {"0.weight": (hidden, in_features), "0.bias": (hidden,), "3.weight": (CLASSES, hidden), "3.bias": (2,)}
    for name, shape in shapes.items():
        if tuple(named[name].shape) != shape:
            raise CheckpointError(f"{name} in {path} has shape {tuple(named[name].shape)}, expected {shape}")
    head = build_head(in_features, HeadConfig(hidden=hidden, dropout=dropout), seed=0)
    head.load_state_dict({_NAMES[name]: tensor.float() for name, tensor in named.items()})
    return head


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; give the path of an old .pth head") from None
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f"{path} cannot be read as tensors alone ({reason}); export the head again") from error
    found = content if isinstance(content, dict) else {}
    found = next((found[key] for key in _NESTED if isinstance(found.get(key), dict)), found)
    if not found or not all(isinstance(tensor, torch.Tensor) and tensor.ndim for tensor in found.values()):
        raise CheckpointError(f"{path} holds no state dict of a head; give classifier_head.pth or a checkpoint")
    return found
