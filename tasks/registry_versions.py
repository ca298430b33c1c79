"""What the registry says about the versions of a model, read from their tags and aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error
from stage1_core.promotion.evidence import RegisteredBundle
from tasks.tracking import client, introduced

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

DIGEST_TAG = "stage1.bundle"
RELEASE_TAG = "stage1.version"
CERTIFICATE_TAG = "stage1.certificate"
EVIDENCE, EVIDENCE_VERDICT = "stage1.evidence", "stage1.evidence_verdict"
PROMOTED_AT, PROMOTED_ON, REPLACED = "stage1.promoted_at", "stage1.promoted_on", "stage1.replaced"
"""When, on which evidence (its digest; later evidence about the version does not change it), and in whose place."""
APPROVER, REASON = "stage1.approver", "stage1.reason"
ROLLED_BACK_AT, ROLLED_BACK_BECAUSE = "stage1.rolled_back_at", "stage1.rolled_back_because"


class VersionRecord(FrozenModel):
    """One version of a registered model."""

    model: str
    version: str
    run_id: str
    """MLflow run that it was registered from."""
    aliases: tuple[str, ...]
    tags: dict[str, str]

    @property
    def is_decided(self) -> bool:
        """Whether it was promoted or rolled back at some time."""
        return bool({PROMOTED_AT, ROLLED_BACK_AT} & self.tags.keys())

    @property
    def was_promoted(self) -> bool:
        """Whether it was champion at some time."""
        return PROMOTED_AT in self.tags

    @property
    def was_rolled_back(self) -> bool:
        """Whether it was champion and was found not to be good."""
        return ROLLED_BACK_AT in self.tags

    @property
    def release(self) -> str:
        """Version of the release and the beginning of its bundle's digest, for people."""
        return f"{self.tags.get(RELEASE_TAG, '')} {self.tags.get(DIGEST_TAG, 'no bundle')[:12]}".strip()

    @property
    def certificate(self) -> str:
        """What it promises, for people."""
        return self.tags.get(CERTIFICATE_TAG, "")

    def history(self) -> tuple[str, ...]:
        """What was decided about it, for people."""
        promoted, rolled_back = self.tags.get(PROMOTED_AT), self.tags.get(ROLLED_BACK_AT)
        by, why = self.tags.get(APPROVER, ""), self.tags.get(REASON, "")
        told = (
            promoted and f"promoted {promoted} in place of {self.replaced or 'none'} by {by}: {why}",
            rolled_back and f"rolled back {rolled_back}: {self.tags.get(ROLLED_BACK_BECAUSE, '')}",
        )
        return tuple(line for line in told if line)

    @property
    def replaced(self) -> str | None:
        """Version that was champion before it, when it was promoted last."""
        return self.tags.get(REPLACED) or None

    def bundle(self) -> RegisteredBundle:
        """Which bundle was registered. Raises `Stage1Error` for a version that this project has not registered."""
        digest = self.tags.get(DIGEST_TAG)
        if digest is None:
            raise Stage1Error(
                f"{self.model} version {self.version} has no tag {DIGEST_TAG}: no bundle was registered as it; "
                "choose a version that a release has registered"
            )
        return RegisteredBundle(version=self.version, content_digest=digest)


def versions_of(model: str) -> dict[str, VersionRecord]:
    """Every version by its number, newest first. Raises `Stage1Error` where the registry has no such model."""
    aliases: dict[str, str] = registered_model(model).aliases
    found = sorted(client().search_model_versions(f"name = '{model}'"), key=lambda one: int(one.version), reverse=True)
    return {
        str(one.version): VersionRecord(
            model=model,
            version=str(one.version),
            run_id=one.run_id or "",
            aliases=tuple(sorted(name for name, version in aliases.items() if str(version) == str(one.version))),
            tags=dict(one.tags),
        )
        for one in found
    }


def registered_model(model: str) -> RegisteredModel:
    """MLflow's record of a model, with its aliases and tags. Raises `Stage1Error` where the registry has none."""
    with introduced():
        found = client().search_registered_models(f"name = '{model}'", max_results=1)
    if not found:
        raise Stage1Error(f"the registry has no model {model!r}; release one, or correct the name")
    return found[0]


def registered_models() -> Iterator[RegisteredModel]:
    """MLflow's record of every model, page by page."""
    with introduced():
        page = client().search_registered_models()
    yield from page
    while page.token:
        page = client().search_registered_models(page_token=page.token)
        yield from page
