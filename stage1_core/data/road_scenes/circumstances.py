"""The road, the camera, the light and the electronics of one drive."""

from __future__ import annotations

import numpy as np

from stage1_core.data.road_scenes.description import Air, Camera, Condition, District, Road, RoadScenesConfig, Sensor
from stage1_core.data.road_scenes.districts import CHARACTERS


def draw_road(rng: np.random.Generator, district: District) -> Road:
    """Lanes, bend and verge as they occur in ``district``."""
    character = CHARACTERS[district]
    pavement = rng.uniform(*character.pavement)
    grey = rng.uniform(0.75, 1.5)
    green = rng.uniform(0.65, 1.2)
    return Road(
        lanes=int(rng.choice(character.lanes)),
        lane_width=rng.uniform(*character.lane_width),
        curvature=float(np.clip(rng.normal(0, 0.0016), -0.004, 0.004)),
        verge=character.verges[rng.integers(len(character.verges))],
        surface_tint=(grey * rng.uniform(0.97, 1.06), grey, grey * rng.uniform(0.93, 1.03)),
        verge_tint=(green * rng.uniform(0.9, 1.3), green, green * rng.uniform(0.8, 1.1)),
        pavement_width=pavement if pavement > 1 else 0.0,
        yellow_centre=bool(rng.random() < 0.25),
        guard_rails=bool(rng.random() < (0.8 if district == "motorway" else 0.06)),
        dash=rng.uniform(2.5, 5),
    )


def draw_camera(rng: np.random.Generator, config: RoadScenesConfig, road: Road, district: District) -> Camera:
    """Where the camera sits in the car and the car in its lane; the drive starts at y = 0."""
    first_lane = 0 if district == "motorway" else road.lanes // 2
    lane = int(rng.integers(first_lane, road.lanes))
    wide = config.condition == "other_camera"
    return Camera(
        width_px=config.width,
        height_px=config.height,
        fov_deg=rng.uniform(72, 82) if wide else rng.uniform(48, 66),
        x=road.lane_centre(lane) + rng.normal(0, 0.2),
        y=0.0,
        z=rng.uniform(2.1, 2.7) if wide else rng.uniform(1.15, 1.9),
        yaw_deg=rng.normal(0, 2.0),
        pitch_deg=rng.uniform(-9, -3) if wide else rng.uniform(-6, 4),
        roll_deg=rng.normal(0, 0.8),
    )


def draw_air(rng: np.random.Generator, condition: Condition) -> Air:
    """Light and weather."""
    night, rain = condition == "night", condition == "rain"
    overcast = rng.uniform(0.8, 1.0) if rain else float(np.clip(rng.beta(0.6, 0.8), 0, 1))
    foggy = rng.random() < 0.22
    visibility = rng.uniform(70, 160) if rain else rng.uniform(60, 220) if foggy else 0.0
    haze = rng.uniform(0.5, 0.85) * (1 - 0.3 * rain)
    return Air(
        sun_azimuth_deg=rng.uniform(0, 360),
        sun_elevation_deg=rng.uniform(12, 65),
        sun=0.03 if night else rng.uniform(0.55, 1.0) * (1 - 0.8 * overcast),
        ambient=rng.uniform(0.9, 1.2) if night else rng.uniform(0.35, 0.6) + 0.35 * overcast,
        warmth=rng.uniform(-0.4, 0.8),
        sky_azimuth_deg=rng.uniform(0, 360),
        overcast=overcast,
        visibility_m=rng.uniform(70, 130) if night else visibility,
        haze=(0.04, 0.045, 0.07) if night else (haze, haze * 1.01, haze * rng.uniform(1.0, 1.06)),
        rain=rain,
        night=night,
    )


def draw_sensor(rng: np.random.Generator, condition: Condition) -> Sensor:
    """Exposure, colour and flaws of one drive's camera."""
    other = condition == "other_camera"
    return Sensor(
        gain=rng.uniform(0.8, 1.2),
        contrast=rng.uniform(0.7, 0.95) if other else rng.uniform(0.85, 1.15),
        red=rng.uniform(0.84, 0.94) if other else rng.uniform(0.95, 1.06),
        blue=rng.uniform(1.06, 1.2) if other else rng.uniform(0.95, 1.06),
        noise=rng.uniform(3, 8) * (1.8 if condition == "night" or other else 1) * 0.6,
        blur_px=rng.uniform(0.7, 1.2) if other or condition == "rain" else max(0.0, rng.uniform(-0.4, 0.7)),
        vignette=rng.uniform(0.0, 0.25) + 0.2 * other,
        jpeg_quality=int(rng.integers(35, 55)) if other else int(rng.integers(72, 94)),
        noise_seed=0,
    )
