"""The project's `task` and `gate`: caching, retries and persistence decided once.

A step's cache key is the digest of its inputs (artifacts count by content), its configuration, the library's source,
the step's own module and the versions of the numerical libraries. So the same flow on the same inputs does nothing, and
a killed run continues behind its last finished step. Prefect does not look whether the files behind a cached result are
still there; we do, and forget the record when they are not.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import httpx
import prefect
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy, CachePolicy
from prefect.context import TaskRunContext
from prefect.settings import get_current_settings
from pydantic import BaseModel, ValidationError

from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.digests import canonical_json, digest_of_bytes, digest_of_file, library_digest
from tasks._workspace import store

P = ParamSpec("P")
R = TypeVar("R")

NON_SEMANTIC = frozenset({"run"})
"""Parameters that say where to report, not what to compute."""

SECONDS_BETWEEN_TRIES = [2.0, 4.0, 8.0, 16.0, 32.0]
"""As the Prefect and MLflow clients wait: a server may be away for a minute, as when it is updated."""


def step_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Cache key of one step. Damaged results are forgotten here, so that the key then misses."""
    key = digest_of_bytes(canonical_json([_code_digest(context.task.fn), _identity(parameters)]))
    record = Path(get_current_settings().results.local_storage_path) / key
    if record.exists() and not _intact(record):
        record.unlink(missing_ok=True)
    return key


def _identity(value: Any) -> Any:
    """``value`` as JSON data that says what it is, not where it lies."""
    if isinstance(value, ArtifactRef):
        return value.sha256
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: _identity(part) for name, part in value.items() if name not in NON_SEMANTIC}
    if isinstance(value, list | tuple):
        return [_identity(part) for part in value]
    return value


@cache
def _code_digest(function: Callable[..., Any]) -> str:
    source = Path(inspect.getsourcefile(function) or __file__)
    parts = [function.__qualname__, digest_of_file(source), library_digest()]
    return digest_of_bytes(canonical_json(parts))


def _intact(record: Path) -> bool:
    """Whether a stored result can be read and every artifact in it is still whole."""
    try:
        result = json.loads(json.loads(record.read_bytes())["result"])
    except (OSError, ValueError, KeyError):
        return False
    return all(store().intact(ref) for ref in _refs(result))


def _refs(result: Any) -> list[ArtifactRef]:
    if isinstance(result, list):
        return [ref for part in result for ref in _refs(part)]
    if not isinstance(result, dict):
        return []
    try:
        return [ArtifactRef.model_validate(result)]
    except ValidationError:
        return [ref for part in result.values() for ref in _refs(part)]


STEP_POLICY = CacheKeyFnPolicy(cache_key_fn=step_key)


def task(function: Callable[P, R]) -> prefect.Task[P, R]:
    """A cached step, tried again when files on a network or a server were away."""
    return _tried_again(STEP_POLICY)(function)


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Only trouble with files and networks may pass by itself; our own errors say what to do instead."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    return isinstance(error, OSError | httpx.TransportError)


def effect(function: Callable[P, R]) -> prefect.Task[P, R]:
    """A step that runs every time: it reports, or looks whether the world has changed. Tried again as a `task` is."""
    return _tried_again(NO_CACHE)(function)


def _tried_again(policy: CachePolicy) -> Callable[[Callable[P, R]], prefect.Task[P, R]]:
    return prefect.task(
        cache_policy=policy,
        persist_result=True,
        result_serializer="json",
        retries=len(SECONDS_BETWEEN_TRIES),
        retry_delay_seconds=SECONDS_BETWEEN_TRIES,
        retry_condition_fn=_worth_retrying,
    )


def gate(function: Callable[P, R]) -> prefect.Task[P, R]:
    """A step that may halt the run by raising. Never retried, never cached: its answer cannot be re-rolled."""
    return prefect.task(cache_policy=NO_CACHE, retries=0, persist_result=True, result_serializer="json")(function)
