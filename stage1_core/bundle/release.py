"""Writing a bundle: everything into a temporary folder, the manifest last, one rename."""

from __future__ import annotations

import os
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import save

from stage1_core import __version__
from stage1_core.bundle.card import model_card, readme
from stage1_core.bundle.contents import BundleContents
from stage1_core.bundle.golden import write_golden
from stage1_core.bundle.manifest import (
    LABELS,
    MANIFEST_FILE,
    BundleManifest,
    Documents,
    EmbeddedBackbone,
    Evidence,
    ModelPointer,
    PolicyPointer,
    ReferencedBackbone,
    ReleaseIdentity,
    policy_file,
)
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.sealing import entries_of, flush, rename_durably, scratch_folder
from stage1_core.bundle.submission_card import SubmissionCard
from stage1_core.errors import BundleError, ModelError
from stage1_core.model.backbone import Backbone, backbone_digest, load_backbone, save_backbone
from stage1_core.model.classifier import Classifier
from stage1_core.model.licence import licence_notice

WEIGHTS_FILE = "model_best.safetensors"
_LIBRARIES = ("numpy", "pillow", "pydantic", "safetensors", "scipy", "timm", "torch", "torchvision", "transformers")


def release_bundle(contents: BundleContents, folder: Path, *, created_at: datetime | None = None) -> BundleManifest:
    """Write the bundle to ``folder``, which must be absent or empty. All of it appears there at once, or nothing.

    The bundle is loaded and its golden pictures replayed before it is put in place. Without ``created_at`` the time is
    SOURCE_DATE_EPOCH where that is set, else the clock's. Raises `BundleError`.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} already holds something; a bundle is never written over, give another folder")
    with scratch_folder(folder.parent, f".{folder.name}-") as scratch:
        model = _write_model(contents, scratch)
        manifest = BundleManifest(
            created_at=_timestamp(created_at),
            active_exit_policy=contents.policy.kind,
            policy=PolicyPointer(kind=contents.policy.kind, file=policy_file(contents.policy.kind)),
            model=model,
            labels=LABELS,
            evidence=_write_evidence(contents, scratch),
            documents=_write_documents(contents, scratch),
            release=_identity(contents),
            files=entries_of(scratch),
            content_digest="",
        ).sealed()
        flush(scratch)
        (scratch / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        load_bundle(scratch)
        flush(scratch)
        rename_durably(scratch, folder)
    return manifest


def _write_model(contents: BundleContents, folder: Path) -> ModelPointer:
    backbone = load_backbone(contents.backbone, device="cpu")
    if backbone.hidden != contents.head.in_features:
        raise ModelError(f"the backbone gives {backbone.hidden} features, the head reads {contents.head.in_features}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in contents.head.state_dict().items()}
    (folder / WEIGHTS_FILE).write_bytes(save(state))
    policy = contents.policy
    (folder / policy_file(policy.kind)).write_text(policy.to_json(), encoding="utf-8")
    golden = write_golden(
        folder,
        contents.golden_candidates,
        Classifier(backbone, contents.head),
        contents.transform,
        policy,
        contents.release.golden_pictures,
    )
    return ModelPointer(
        weights=WEIGHTS_FILE,
        head=contents.head.config,
        in_features=contents.head.in_features,
        backbone=_write_backbone(contents, backbone, folder),
        transform=contents.transform,
        golden=golden,
    )


def _write_backbone(
    contents: BundleContents, backbone: Backbone, folder: Path
) -> EmbeddedBackbone | ReferencedBackbone:
    digest = backbone_digest(contents.backbone)
    if contents.release.backbone == "reference":
        return ReferencedBackbone(config=contents.backbone, sha256=digest)
    saved = save_backbone(backbone, folder / "backbone")
    return EmbeddedBackbone(sha256=backbone_digest(saved), made_from=digest)


def _write_evidence(contents: BundleContents, folder: Path) -> Evidence:
    (folder / "splits.json").write_text(contents.splits.to_json(), encoding="utf-8")
    (folder / "acceptance.json").write_text(contents.acceptance.to_json(), encoding="utf-8")
    _copy(contents.metrics_csv, folder / "metrics.csv")
    if contents.evaluation is not None:
        (folder / "evaluation.json").write_text(contents.evaluation.to_json(), encoding="utf-8")
    calibrators = {f"calibrators/{stem}.json": contents.calibrators[stem] for stem in sorted(contents.calibrators)}
    for name, calibrator in calibrators.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(calibrator.to_json(), encoding="utf-8")
    figures = {f"figures/{name}": contents.figures[name] for name in sorted(contents.figures)}
    for name, path in figures.items():
        (folder / name).parent.mkdir(exist_ok=True)
        _copy(path, folder / name)
    return Evidence(
        ledger_digest=contents.splits.ledger_digest,
        splits="splits.json",
        acceptance="acceptance.json",
        metrics="metrics.csv",
        evaluation=None if contents.evaluation is None else "evaluation.json",
        calibrators=tuple(calibrators),
        figures=tuple(figures),
    )


def _write_documents(contents: BundleContents, folder: Path) -> Documents:
    release = contents.release
    card = model_card(
        release,
        contents.policy,
        contents.splits,
        contents.acceptance,
        backbone_name=_backbone_name(contents),
        synthetic=contents.synthetic,
    )
    licence = licence_notice(contents.backbone)
    if release.licence_file is not None:
        try:
            licence += "\n" + release.licence_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                f"the licence file {release.licence_file} cannot be read ({error}); correct its path"
            ) from error
    texts = {
        "config.json": contents.config.to_json(),
        "README.md": readme(release, contents.policy),
        "MODEL_CARD.md": card,
        "model_card.json": SubmissionCard.of(release).to_json(),
        "BACKBONE_LICENCE.txt": licence,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Documents(
        config="config.json",
        readme="README.md",
        model_card="MODEL_CARD.md",
        submission_card="model_card.json",
        licence_notice="BACKBONE_LICENCE.txt",
    )


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise BundleError(f"{source} cannot be copied into the bundle ({error.strerror}); make it first") from error


def _backbone_name(contents: BundleContents) -> str:
    """The hub id or timm name; of a local folder only its own name, for paths belong to one machine."""
    name = (contents.adapted_from or contents.backbone).model
    name = Path(name).name if Path(name).is_dir() else name
    return f"{name}, adapted" if contents.adapted_from else name


def _identity(contents: BundleContents) -> ReleaseIdentity:
    versions = {name: version(name) for name in _LIBRARIES}
    return ReleaseIdentity(
        name=contents.release.name,
        version=contents.release.version,
        git_commit=contents.git_commit,
        versions={"python": platform.python_version(), "stage1-pro": __version__, **versions},
    )


def _timestamp(given: datetime | None) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None and epoch is not None:
        if not epoch.isdigit():
            raise BundleError(f"SOURCE_DATE_EPOCH is {epoch!r}; set it to whole seconds since 1970, or unset it")
        given = datetime.fromtimestamp(int(epoch), tz=UTC)
    return (given or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
