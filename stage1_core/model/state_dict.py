"""Reading state dicts from files without running what is in them, and loading them without gaps."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stage1_core.errors import ModelError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Name to tensor, on the CPU, from a .safetensors file or a .pth/.pt/.bin file of tensors only.

    Raises `ModelError` for damaged files and for pickles that hold anything but tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a whole safetensors file ({error}); copy it again") from error
    if path.suffix not in (".pth", ".pt", ".bin"):
        raise ModelError(f"{path}: weights are read from .safetensors or .pth files, not {path.suffix or 'this'}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged or holds more than tensors, so it is not opened; save its state dict as safetensors"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path} holds no plain state dict (name to tensor); save model.state_dict() as safetensors")
    return dict(content)


def renamed_by_order(state: dict[str, Tensor], network: nn.Module, *, source: str) -> dict[str, Tensor]:
    """``state`` under the network's names, matched by position. Raises `ModelError` unless every shape agrees."""
    wanted = network.state_dict()
    if len(state) != len(wanted):
        raise ModelError(f"{source} has {len(state)} tensors, the architecture {len(wanted)}; they are not one model")
    for (theirs, tensor), (ours, target) in zip(state.items(), wanted.items(), strict=True):
        if tensor.shape != target.shape:
            raise ModelError(
                f"{source}: {theirs} is {tuple(tensor.shape)} where {ours} is {tuple(target.shape)}; "
                "they are not one model"
            )
    return dict(zip(wanted, state.values(), strict=True))


def load_whole(network: nn.Module, state: dict[str, Tensor], *, source: str, may_lack: tuple[str, ...]) -> None:
    """Load ``state``; only tensors below the ``may_lack`` names may be absent in it, none may be left over.

    Raises `ModelError` otherwise, naming a tensor.
    """
    wanted = network.state_dict()
    optional = {name for name in wanted if name.startswith(tuple(f"{prefix}." for prefix in may_lack))}
    missing = sorted(wanted.keys() - state.keys() - optional)
    surplus = sorted(state.keys() - wanted.keys())
    wrong = sorted(name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape)
    # A classifier of other classes is dropped with the rest of it.
    wrong = [name for name in wrong if name not in optional]
    if missing or surplus or wrong:
        example = (missing or surplus or wrong)[0]
        raise ModelError(
            f"{source} does not fit the architecture: {len(missing)} tensors missing, {len(surplus)} unknown, "
            f"{len(wrong)} of other shape, e.g. {example}; check the model name"
        )
    network.load_state_dict(wanted | {name: tensor for name, tensor in state.items() if name not in optional})
