"""The checks that stand between a folder and a bundle that may decide. Each raises `BundleError` naming the file."""

from __future__ import annotations

import json
import stat
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from stage1_core.bundle.golden import Golden
from stage1_core.bundle.manifest import ALLOWED_SUFFIXES, FORMAT_VERSION, MANIFEST_FILE, BundleManifest
from stage1_core.bundle.schemas import policy_kinds, require_valid
from stage1_core.bundle.sealing import regular_files
from stage1_core.digests import digest_of_file
from stage1_core.errors import BundleError
from stage1_core.policy import AnyPolicy

_LARGEST_JSON_BYTES = 64 * 2**20
_PICKLE_BEGINNINGS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04", b"\x1f\x8b")
"""Pickles, and the archives that hide them."""

AGAIN = "get the bundle again from where it was released"


def read_json(path: Path) -> object:
    """The JSON value in ``path``, which must be a regular file of sane size without repeated names."""
    try:
        status = path.lstat()
    except OSError as error:
        raise BundleError(f"{path} is missing; {AGAIN}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_JSON_BYTES:
        raise BundleError(f"{path} is a link, a folder or larger than {_LARGEST_JSON_BYTES} bytes; {AGAIN}")
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not valid JSON ({error}); {AGAIN}") from error


def read_manifest(folder: Path) -> BundleManifest:
    """bundle.json, of a version that this code reads, with the digest that it claims."""
    path = folder / MANIFEST_FILE
    if not path.exists():
        raise BundleError(f"{folder} holds no {MANIFEST_FILE}: not a bundle, or one whose release was interrupted")
    value = read_json(path)
    version = value.get("format_version") if isinstance(value, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path} has format version {version!r}, this code reads {FORMAT_VERSION}; "
            "install the stage1-pro that made it"
        )
    require_valid("bundle", value, path)
    try:
        manifest = BundleManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise BundleError(f"{path} is not a valid manifest: at {where}: {first['msg']}; {AGAIN}") from error
    if manifest.expected_digest() != manifest.content_digest:
        raise BundleError(f"{path} was changed after it was sealed: its content digest does not fit; {AGAIN}")
    known = policy_kinds()
    if manifest.policy.kind not in known:
        raise BundleError(
            f"{path}: a policy of kind {manifest.policy.kind!r} is unknown to this version, which knows "
            f"{', '.join(known)}; install the stage1-pro that made it"
        )
    return manifest


def check_listing(folder: Path, manifest: BundleManifest) -> None:
    """Exactly the listed files, none a link, none of a kind that could run code."""
    found = regular_files(folder)
    for name in found:
        if PurePosixPath(name).suffix.lower() not in ALLOWED_SUFFIXES:
            raise BundleError(f"{folder / name} is of a kind that bundles never hold; do not load it, {AGAIN}")
    extra = sorted(set(found) - set(manifest.files) - {MANIFEST_FILE})
    if extra:
        raise BundleError(f"{folder / extra[0]} does not belong to the bundle; remove it or {AGAIN}")
    missing = sorted(set(manifest.files) - set(found))
    if missing:
        raise BundleError(f"{folder / missing[0]} is missing; {AGAIN}")


def check_contents(folder: Path, manifest: BundleManifest) -> None:
    """Size and digest of every file, and no pickle under a harmless name."""
    for name, entry in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                beginning = file.read(4)
            unchanged = size == entry.size and digest_of_file(path) == entry.sha256
        except OSError as error:
            raise BundleError(f"{path} cannot be read ({error.strerror}); {AGAIN}") from error
        if not unchanged:
            raise BundleError(f"{path}, {size} bytes, was changed after the bundle was sealed; {AGAIN}")
        if beginning.startswith(_PICKLE_BEGINNINGS):
            raise BundleError(f"{path} is a pickle or an archive under another name; do not load it, {AGAIN}")


def check_schemas(folder: Path, manifest: BundleManifest) -> None:
    """Every JSON file that has a schema keeps it; the others are JSON."""
    schemas = {
        manifest.policy.file: Path(manifest.policy.file).stem,
        manifest.model.golden: "golden",
        manifest.evidence.splits: "splits",
        manifest.evidence.acceptance: "acceptance",
        manifest.documents.submission_card: "model_card",
    }
    for name in manifest.files:
        if name.endswith(".json"):
            value = read_json(folder / name)
            if name in schemas:
                require_valid(schemas[name], value, folder / name)


def read_policy(folder: Path, manifest: BundleManifest) -> AnyPolicy:
    """The one policy. Refuses kinds that this version does not know."""
    path = folder / manifest.policy.file
    value = read_json(path)
    try:
        policy: AnyPolicy = TypeAdapter(AnyPolicy).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        kind = value.get("kind") if isinstance(value, dict) else None
        raise BundleError(f"{path}: no policy of kind {kind!r} can be read from it: {first['msg']}; {AGAIN}") from error
    if policy.kind != manifest.active_exit_policy:
        raise BundleError(
            f"{path} holds a {policy.kind} policy, the manifest says {manifest.active_exit_policy}; {AGAIN}"
        )
    return policy


def read_golden(folder: Path, manifest: BundleManifest) -> Golden:
    """The golden pictures' expectations. Every picture must be a sealed file."""
    path = folder / manifest.model.golden
    try:
        golden = Golden.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{path} is not valid: {error.errors()[0]['msg']}; {AGAIN}") from error
    unknown = [picture.file for picture in golden.pictures if picture.file not in manifest.files]
    if unknown:
        raise BundleError(f"{path} names {unknown[0]}, which is not a file of the bundle; {AGAIN}")
    return golden


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")
