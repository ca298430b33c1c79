"""A policy from its JSON file, outside of any bundle."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stage1_core import __version__
from stage1_core.errors import PolicyError
from stage1_core.policy import AnyPolicy
from stage1_core.policy.certify import certified_level

_HOW = "give the file that `stage1 fit-policy` wrote, or that of a bundle"


def read_policy(path: Path) -> AnyPolicy:
    """The policy in ``path``. Raises `PolicyError` for anything else, naming the first thing that is wrong.

    Also for a policy whose threshold is none that its search certified: nothing is promised of what it decides.
    """
    if not path.is_file():
        raise PolicyError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; {_HOW}")
    content = path.read_bytes()
    try:
        value = json.loads(content)
    except ValueError as error:
        raise PolicyError(f"{path} is not JSON ({error}); {_HOW}") from error
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise PolicyError(f"{path} is JSON, but no policy: it has no kind; {_HOW}")
    adapter: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)
    try:
        policy = adapter.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "kind"
        written_by = value.get("stage1_core_version", __version__)
        remedy = (
            _HOW if written_by == __version__ else f"version {written_by} wrote it, this is {__version__}; use that"
        )
        raise PolicyError(
            f"{path} holds no policy that can be read here: at {where}: {first['msg']}; {remedy}"
        ) from error
    _require_certified(path, policy)
    return policy


def _require_certified(path: Path, policy: AnyPolicy) -> None:
    if policy.threshold is None:
        return  # nothing exits
    try:
        certified_level(policy.sweep_results, policy.threshold)
    except PolicyError as error:
        raise PolicyError(
            f"{path}: the threshold {policy.threshold!r} was never certified, so nothing is promised of it; {_HOW}, "
            "unchanged"
        ) from error
