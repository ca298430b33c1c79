"""Looking models up on a hub through its own client, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

from stage1_core.errors import ModelError

_SAFETENSORS = "model.safetensors"


def hub_folder(repository: str, *, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """Local snapshot of the repository's files that match ``patterns``, downloaded where it is not cached.

    HF_HUB_OFFLINE, HF_HOME and HF_TOKEN are taken from the environment. Raises `ModelError`.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:  # all of the client's errors are one or the other
        raise _model_error(repository, revision, error) from error


def timm_hub_file(model: str) -> Path:
    """Local copy of the weights that timm names for ``model``, downloaded where it is not cached.

    Raises `ModelError` for unknown names and for models whose weights are not on the hub as safetensors.
    """
    import timm.models
    from huggingface_hub import hf_hub_download

    pretrained = timm.models.get_pretrained_cfg(model, allow_unregistered=False) if timm.is_model(model) else None
    if pretrained is None or not pretrained.hf_hub_id:
        raise ModelError(
            f"timm knows no hub weights for {model!r}; list names with timm.list_models(pretrained=True), or give the "
            "weights as a file"
        )
    try:
        return Path(hf_hub_download(pretrained.hf_hub_id, pretrained.hf_hub_filename or _SAFETENSORS))
    except (OSError, ValueError) as error:
        raise _model_error(pretrained.hf_hub_id, None, error) from error


def _model_error(repository: str, revision: str | None, error: Exception) -> ModelError:
    from huggingface_hub import constants, errors

    name = repository if revision is None else f"{repository} at {revision}"
    if isinstance(error, errors.GatedRepoError):
        todo = "accept its licence on the hub's page and set HF_TOKEN in the environment, or give a local folder"
        return ModelError(f"{name} is gated: {todo}")
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{name!r} is neither an existing folder nor a hub id (owner/name); correct it")
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{name}: there is no such revision; correct it or leave it out")
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelError(f"{name} is not on the hub, or is private; check the id, or set HF_TOKEN in the environment")
    if constants.HF_HUB_OFFLINE:
        todo = "give a local folder or file, or fetch it once without HF_HUB_OFFLINE"
        return ModelError(f"{name} is not in the local cache and HF_HUB_OFFLINE is set: {todo}")
    todo = "check the connection (gated models also need HF_TOKEN in the environment), or give a local folder or file"
    return ModelError(f"{name} cannot be fetched ({type(error).__name__}): {todo}")
