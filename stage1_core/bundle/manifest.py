"""bundle.json: what a bundle holds, pointer by pointer and digest by digest."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stage1_core.bundle.sealing import FileEntry
from stage1_core.config import FrozenModel
from stage1_core.data.transforms import EvalTransform
from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.head import HeadConfig

FORMAT_VERSION = 1
MANIFEST_FILE = "bundle.json"
LABELS: dict[int, str] = {0: "None", 1: "Roadwork"}
"""The class names that the subnet's own detectors answer with."""

ALLOWED_SUFFIXES = frozenset({".json", ".safetensors", ".csv", ".md", ".txt", ".png", ".html", ".onnx", ".jinja"})
"""Nothing that a loader could execute, and nothing that nobody reads."""

_POLICY_FILES = {"softmax": "thresholds.json"}


def policy_file(kind: str) -> str:
    """Name of the file that holds a policy of this kind: thresholds.json, gateparams.json, scrcparams.json, ..."""
    return _POLICY_FILES.get(kind, f"{kind.replace('_', '')}params.json")


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not re.fullmatch(r"[A-Za-z0-9._/ -]+", path) or path.startswith("/") or ".." in parts or path == MANIFEST_FILE:
        raise ValueError(f"pointer {path!r} must name a file inside the bundle, relative, without '..'")
    if PurePosixPath(path).suffix.lower() not in ALLOWED_SUFFIXES:
        raise ValueError(
            f"{path!r} is of a kind that bundles do not hold; allowed: {', '.join(sorted(ALLOWED_SUFFIXES))}"
        )
    return path


BundlePath = Annotated[str, AfterValidator(_inside)]
"""A file of the bundle, relative, POSIX separators."""

Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class ReleaseConfig(FrozenModel):
    """What a person decides about a release."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "stage1-roadwork"
    """Name of the model in the registry and on its card."""
    version: Version = "0.1.0"
    """X.Y.Z."""
    description: str = "First stage of a street-image cascade: is there roadwork in this picture?"
    """One or two sentences for the card."""
    backbone: Literal["embed", "reference"] = "embed"
    """Carry the backbone's weights, or name them by configuration and digest where licence or size forbid a copy."""
    licence_file: Path | None = None
    """Licence text of the backbone. The DINOv3 License asks that a copy travels with the weights."""
    golden_pictures: Annotated[int, Field(ge=1, le=64)] = 16
    """Pictures whose decisions are replayed on every load."""
    submitted_by: str = ""
    """Hotkey address on the subnet's model card."""
    submission_time: Annotated[int, Field(ge=0)] | None = None
    """Unix seconds on the subnet's model card; set when the bundle is made for a submission."""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


class PolicyPointer(FrozenModel):
    """The one policy of the bundle."""

    kind: str
    file: BundlePath


class EmbeddedBackbone(FrozenModel):
    """Weights inside the bundle."""

    kind: Literal["embedded"] = "embedded"
    folder: Literal["backbone"] = "backbone"
    sha256: str
    """Identity of the weights and configuration in the folder."""
    made_from: str
    """Identity of the backbone that the head was trained on; differs where weights were only renamed."""


class ReferencedBackbone(FrozenModel):
    """Weights that the machine must have already."""

    kind: Literal["referenced"] = "referenced"
    config: BackboneConfig
    sha256: str
    """Identity of weights and configuration; loading refuses any other."""


class ModelPointer(FrozenModel):
    """From picture to logits."""

    weights: BundlePath
    """The head."""
    head: HeadConfig
    in_features: Annotated[int, Field(gt=0)]
    """Length of the backbone's feature vector."""
    backbone: Annotated[EmbeddedBackbone | ReferencedBackbone, Field(discriminator="kind")]
    transform: EvalTransform
    golden: BundlePath
    """Pictures with their expected logits and decisions."""


class Evidence(FrozenModel):
    """Why the bundle was released."""

    ledger_digest: str
    """Which rows lay in which split."""
    splits: BundlePath
    acceptance: BundlePath
    metrics: BundlePath
    evaluation: BundlePath | None = None
    calibrators: tuple[BundlePath, ...] = ()
    figures: tuple[BundlePath, ...] = ()


class Documents(FrozenModel):
    """What people read."""

    config: BundlePath
    """Everything that determined the release."""
    readme: BundlePath
    model_card: BundlePath
    submission_card: BundlePath
    """The card in the format that the subnet asks for."""
    licence_notice: BundlePath


class ReleaseIdentity(FrozenModel):
    """What was released, and by which code."""

    name: str
    version: Version
    git_commit: str | None
    """None where the code was not in a repository."""
    versions: dict[str, str]
    """Installed versions of Python and the libraries that compute."""


class BundleManifest(FrozenModel):
    """bundle.json. Written last; its presence means that the bundle is complete."""

    format_version: Literal[1] = 1
    created_at: str
    """UTC, ISO 8601, whole seconds; the only thing that may differ between two builds from the same inputs."""
    active_exit_policy: str
    policy: PolicyPointer
    model: ModelPointer
    labels: dict[int, str]
    evidence: Evidence
    documents: Documents
    release: ReleaseIdentity
    files: dict[BundlePath, FileEntry]
    """Every file of the bundle except this one."""
    resealed: bool = False
    """Whether somebody changed and sealed it again: then no certificate holds for it."""
    content_digest: str
    """Digest over everything above except ``created_at``: the identity of the bundle."""

    def expected_digest(self) -> str:
        """The ``content_digest`` that the other fields give."""
        return digest_of_bytes(canonical_json(self.model_dump(mode="json", exclude={"content_digest", "created_at"})))

    def sealed(self) -> Self:
        """The same manifest with the digest that its fields give."""
        return self.model_copy(update={"content_digest": self.expected_digest()})

    def pointers(self) -> tuple[str, ...]:
        """Every file that the manifest points to by role."""
        evidence = self.evidence
        optional = (evidence.evaluation,) if evidence.evaluation else ()
        return (
            self.policy.file,
            self.model.weights,
            self.model.golden,
            evidence.splits,
            evidence.acceptance,
            evidence.metrics,
            *optional,
            *evidence.calibrators,
            *evidence.figures,
            *self.documents.model_dump().values(),
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.active_exit_policy != self.policy.kind:
            raise ValueError(f"active_exit_policy is {self.active_exit_policy!r}, the policy {self.policy.kind!r}")
        if self.policy.file != policy_file(self.policy.kind):
            raise ValueError(
                f"a {self.policy.kind} policy lies in {policy_file(self.policy.kind)}, not {self.policy.file}"
            )
        if self.labels != LABELS:
            raise ValueError(f"labels are {self.labels}, expected {LABELS}")
        missing = sorted(set(self.pointers()) - set(self.files))
        if missing:
            raise ValueError(f"points to {missing[0]}, which is not among its files")
        others = [name for name in self.files if re.fullmatch(r"thresholds\.json|\w+params\.json", name)]
        if others != [self.policy.file]:
            raise ValueError(f"a bundle holds exactly one policy file, this one {', '.join(others)}")
        return self
