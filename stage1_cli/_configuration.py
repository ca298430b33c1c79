"""Configurations from files and recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from stage1_core.config import FrozenModel
from stage1_core.data.config import DataConfig
from stage1_core.errors import Stage1Error

Model = TypeVar("Model", bound=FrozenModel)


def load_config(
    model: type[Model], path: Path | None, recipe: str | None, recipes: Mapping[str, Callable[[], Model]]
) -> Model:
    """The configuration in ``path`` or of ``recipe``, exactly one of which is given. Raises `Stage1Error` else."""
    if (path is None) == (recipe is None):
        raise Stage1Error(f"give either --config FILE or --recipe NAME (one of: {', '.join(sorted(recipes))})")
    if path is not None:
        return read_config(model, path)
    if recipe is None or recipe not in recipes:
        raise Stage1Error(f"there is no recipe {recipe!r}; the recipes are: {', '.join(sorted(recipes))}")
    return recipes[recipe]()


def read_config(model: type[Model], path: Path) -> Model:
    """Read YAML, of which JSON is a part. Raises `Stage1Error` naming the file, the field and the value."""
    return validated(model, read_yaml(path), path)


def read_yaml(path: Path) -> object:
    """The content of a YAML file. Raises `Stage1Error` when it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise Stage1Error(f"{path} does not exist; give the path of a YAML configuration") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise Stage1Error(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error


def validated(model: type[Model], content: object, path: Path) -> Model:
    """``content`` as ``model``. Raises `Stage1Error` naming ``path`` and the first fields that are wrong."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Stage1Error(f"{path}: {'; '.join(_complaints(error))}") from error


def _complaints(error: ValidationError) -> list[str]:
    shown = [
        f"{'.'.join(map(str, e['loc'])) or 'the top level'}: {e['msg']} (found {_short(e['input'])})"
        for e in error.errors()[:3]
    ]
    hidden = error.error_count() - len(shown)
    return [*shown, f"and {hidden} more"] if hidden else shown


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def to_yaml(config: FrozenModel, *, only_chosen: bool = False) -> str:
    """The configuration in the order of its fields: all of it, or ``only_chosen`` what was not left to the defaults."""
    content = config.model_dump(mode="json", exclude_unset=only_chosen)
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_data_config(path: Path) -> DataConfig:
    """The ``data`` part of a phase's configuration, or a file that is nothing but that part.

    A phase that stands on another has the data of the lowest, and the ladder those of its top.
    """
    content = read_yaml(path)
    while isinstance(content, Mapping) and "data" not in content and (below := {"previous", "top"} & content.keys()):
        content = content[below.pop()]
    if isinstance(content, Mapping) and "data" in content:
        content = content["data"]
    return validated(DataConfig, content, path)
