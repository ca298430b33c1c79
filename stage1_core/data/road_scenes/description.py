"""What stands where in a rendered road scene: the values that a seed decides and a renderer turns into pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stage1_core.config import FrozenModel
from stage1_core.digests import digest_of_bytes

Condition = Literal["clear", "rain", "night", "other_camera"]
District = Literal["old_town", "suburb", "motorway", "harbour"]
Verge = Literal["grass", "paving", "concrete", "soil"]
Rounded = Annotated[float, AfterValidator(lambda value: round(value, 3) + 0.0)]
"""Three decimals (millimetres, thousandths): the last bits of sines may differ between machines, a digest must not."""

Shade = Annotated[Rounded, Field(ge=0, le=2)]
Colour = tuple[Shade, Shade, Shade]


class RoadScenesConfig(FrozenModel):
    """How many road scenes, from where and under which conditions. Equal configurations describe equal scenes."""

    pictures: Annotated[int, Field(ge=2, le=100_000)] = 4200
    """Total number of pictures of both classes."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed gives other drives."""
    width: Annotated[int, Field(ge=64, le=1920)] = 256
    """Picture width in pixels. Works are always evident inside the central square of side min(width, height)."""
    height: Annotated[int, Field(ge=64, le=1080)] = 224
    """Picture height in pixels."""
    roadwork_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Fraction of the pictures that show road works, rounded to whole pictures."""
    districts: Annotated[tuple[District, ...], Field(min_length=1)] = ("old_town", "suburb", "motorway", "harbour")
    """Where the drives take place, evenly mixed within each class; each district is one source."""
    max_frames_per_drive: Annotated[int, Field(ge=1, le=10)] = 3
    """A drive has 1 to this many frames, uniformly drawn; all its frames share the label."""
    condition: Condition = "clear"
    """Weather and camera of all pictures. Anything but "clear" makes a drifted set."""


class Camera(FrozenModel):
    """A pinhole camera. Metres and degrees; x to the right, y ahead, z up."""

    width_px: int
    height_px: int
    fov_deg: Rounded
    """Horizontal field of view."""
    x: Rounded
    y: Rounded
    z: Rounded
    yaw_deg: Rounded
    """Positive turns left."""
    pitch_deg: Rounded
    """Positive looks up."""
    roll_deg: Rounded


class Road(FrozenModel):
    """The carriageway and what lies beside it; its centre line is x = curvature * y^2 / 2."""

    lanes: int
    lane_width: Rounded
    """Metres."""
    curvature: Annotated[float, AfterValidator(lambda value: round(value, 6) + 0.0)]
    """Per metre; positive bends right."""
    verge: Verge
    surface_tint: Colour
    verge_tint: Colour
    pavement_width: Rounded
    """Metres of pavement on either side, 0 for none."""
    yellow_centre: bool
    guard_rails: bool
    dash: Rounded
    """Length in metres of a dash, and half of the gap after it."""

    def half_width(self) -> float:
        """Metres from the centre line to the edge."""
        return self.lanes * self.lane_width / 2

    def lane_centre(self, lane: int) -> float:
        """Metres from the centre line to the middle of ``lane``, counted from the left."""
        return (lane + 0.5) * self.lane_width - self.half_width()

    def bend_at(self, y: float) -> float:
        """How far, in metres, the centre line has moved to the right at ``y``."""
        return self.curvature * y * y / 2


class Air(FrozenModel):
    """Light, sky and weather."""

    sun_azimuth_deg: Rounded
    sun_elevation_deg: Rounded
    sun: Rounded
    """Strength of direct light, 1 on a clear noon."""
    ambient: Rounded
    """Strength of light from all sides."""
    warmth: Rounded
    """-1 bluish to 1 reddish."""
    sky_azimuth_deg: Rounded
    overcast: Annotated[Rounded, Field(ge=0, le=1)]
    """0 shows the photographed clouds, 1 a flat grey."""
    visibility_m: Rounded
    """Distance at which contrast has fallen to 5 percent (Koschmieder); 0 means unlimited."""
    haze: Colour
    rain: bool
    night: bool


class Sensor(FrozenModel):
    """What the camera electronics do to the picture."""

    gain: Rounded
    contrast: Rounded
    red: Rounded
    blue: Rounded
    noise: Rounded
    """Standard deviation in 8-bit grey levels."""
    blur_px: Rounded
    """Standard deviation in pixels."""
    vignette: Rounded
    """Fraction of light lost in the corners."""
    jpeg_quality: int
    noise_seed: int


class Thing(FrozenModel):
    """One object standing on the ground."""

    kind: str
    x: Rounded
    y: Rounded
    heading_deg: Rounded = 0.0
    """0 faces away from the camera, positive turns left."""
    size: tuple[Rounded, Rounded, Rounded]
    """Width, length, height in metres."""
    tint: Colour = (1.0, 1.0, 1.0)
    variant: int = 0
    """Which facade, sign face or crown."""


class SceneDescription(FrozenModel):
    """One picture before it is rendered: everything that the seed decides."""

    drive: str
    """Group: all frames of one drive, and only they, carry it."""
    frame: int
    district: District
    label: Literal[0, 1]
    """1 when road works close part of a lane."""
    condition: Condition
    camera: Camera
    road: Road
    air: Air
    sensor: Sensor
    things: tuple[Thing, ...]

    @property
    def image(self) -> str:
        """Path of the picture relative to the folder of the set."""
        return f"images/{self.district}/{self.drive}_{self.frame}.jpg"


def descriptions_jsonl(descriptions: tuple[SceneDescription, ...]) -> bytes:
    """One JSON line per scene, in order."""
    return b"".join(scene.model_dump_json().encode() + b"\n" for scene in descriptions)


def descriptions_digest(descriptions: tuple[SceneDescription, ...]) -> str:
    """Hex sha256 of what stands where in all scenes: the identity of a set, since frames vary in a few far pixels."""
    return digest_of_bytes(descriptions_jsonl(descriptions))
