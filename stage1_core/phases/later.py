"""What a phase takes over from the one that it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stage1_core.data.config import DataConfig
from stage1_core.data.transforms import EvalTransform
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.policy.constraint import RiskConstraint


class PhaseBelow(Protocol):
    """A phase that another can stand on."""

    @property
    def data(self) -> DataConfig:
        """Sources, audit and split."""
        ...

    @property
    def backbone(self) -> BackboneConfig:
        """What the phase begins with."""
        ...

    @property
    def transform(self) -> EvalTransform:
        """Geometry in which pictures are seen."""
        ...

    @property
    def constraint(self) -> RiskConstraint:
        """The promise."""
        ...

    @property
    def bootstrap(self) -> BootstrapConfig:
        """Intervals of the evaluation."""
        ...


class StandsOnAnother:
    """A phase with a `previous` one, whose data, backbone, geometry and promise are its own: the two compare."""

    if TYPE_CHECKING:

        @property
        def previous(self) -> PhaseBelow:
            """The phase below; a field of each later one."""
            ...

    @property
    def data(self) -> DataConfig:
        """Sources, audit and split of the phases below."""
        return self.previous.data

    @property
    def backbone(self) -> BackboneConfig:
        """The one that the phases below began with."""
        return self.previous.backbone

    @property
    def transform(self) -> EvalTransform:
        """That of the phases below."""
        return self.previous.transform

    @property
    def constraint(self) -> RiskConstraint:
        """The promise of the phases below: whatever challenges a release is compared at the same certificate."""
        return self.previous.constraint


class LaterPhase(StandsOnAnother):
    """One that is evaluated as the phases below are."""

    @property
    def bootstrap(self) -> BootstrapConfig:
        """That of the phases below."""
        return self.previous.bootstrap
