"""Changing a copied bundle for an experiment, openly: digests fit again, the certificate is void."""

from __future__ import annotations

from pathlib import Path

from stage1_core.bundle.card import VOID
from stage1_core.bundle.integrity import read_golden, read_manifest, read_policy
from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.bundle.sealing import entries_of, write_durably


def reseal(folder: Path) -> BundleManifest:
    """Seal ``folder``, a copy of a bundle in which a file was edited, and mark it as void.

    The golden decisions become those of the policy as it now is, so replay still guards weights and preprocessing.
    Loading needs ``allow_void_certificate=True`` from now on. Raises `BundleError`.
    """
    manifest = read_manifest(folder)
    policy = read_policy(folder, manifest)
    golden = read_golden(folder, manifest).with_decisions_of(policy)
    write_durably(folder / manifest.model.golden, golden.to_json().encode())
    for name in (manifest.documents.readme, manifest.documents.model_card):
        text = (folder / name).read_text(encoding="utf-8")
        if not text.startswith(VOID):
            write_durably(folder / name, (VOID + text).encode())
    files = {name: entry for name, entry in entries_of(folder).items() if name != MANIFEST_FILE}
    changed = BundleManifest.model_validate(manifest.model_dump() | {"files": files, "resealed": True}).sealed()
    write_durably(folder / MANIFEST_FILE, changed.to_json().encode())
    return changed
