"""JSON schemas of what a bundle holds, generated: ``python -m stage1_core.bundle.schemas [--check] [folder]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # ships no types
from pydantic import BaseModel

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.golden import Golden
from stage1_core.bundle.manifest import BundleManifest, policy_file
from stage1_core.bundle.submission_card import SubmissionCard
from stage1_core.data.split_summary import SplitSummary
from stage1_core.digests import canonical_json
from stage1_core.errors import BundleError
from stage1_core.policy import AnyPolicy

SUFFIX = ".schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_kinds() -> tuple[str, ...]:
    """Every kind of policy that this version can decide with."""
    return tuple(model.model_fields["kind"].default for model in policy_models().values())


def policy_models() -> dict[str, type[BaseModel]]:
    """Every fitted policy of the union, by the stem of its file: thresholds, gateparams, ..."""
    union, *_ = get_args(AnyPolicy)
    models: tuple[type[BaseModel], ...] = get_args(union) or (union,)
    return {Path(policy_file(model.model_fields["kind"].default)).stem: model for model in models}


def sealed_models() -> dict[str, type[BaseModel]]:
    """Name of the schema to the model that writes such files."""
    return {
        "acceptance": AcceptanceReport,
        "bundle": BundleManifest,
        "golden": Golden,
        "model_card": SubmissionCard,
        "splits": SplitSummary,
        **policy_models(),
    }


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema called ``name``. Fields with a default may be absent: bundles from before they existed stay valid."""
    model = sealed_models()[name]
    return {"$schema": DIALECT, **model.model_json_schema(mode="serialization")}


def require_valid(name: str, value: object, path: Path) -> None:
    """Raise `BundleError` naming ``path`` and the first place where ``value`` breaks the schema called ``name``."""
    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(value))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "the top level"
        raise BundleError(f"{path} breaks the schema {name}{SUFFIX} at {where}: {error.message[:300]}")


def rendered(name: str) -> str:
    """The schema as it stands in its file."""
    return canonical_json(schema(name), indent=2).decode() + "\n"


def write_schemas(folder: Path) -> None:
    """Write every schema, and remove those of models that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sealed_models():
        (folder / (name + SUFFIX)).write_text(rendered(name), encoding="utf-8")
    for path in folder.glob("*" + SUFFIX):
        if path.name.removesuffix(SUFFIX) not in sealed_models():
            path.unlink()


def stale_schemas(folder: Path) -> list[str]:
    """Names of schema files that are missing, differ from their model, or have none."""
    current = {name + SUFFIX: rendered(name) for name in sealed_models()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*" + SUFFIX)}
    return sorted(name for name in current.keys() | found.keys() if current.get(name) != found.get(name))


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schemas, or with ``--check`` say which are stale; exit status 1 where some are."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("schemas"), help="where they lie (default: schemas)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    if not options.check:
        write_schemas(options.folder)
        return 0
    stale = stale_schemas(options.folder)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python -m stage1_core.bundle.schemas\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
