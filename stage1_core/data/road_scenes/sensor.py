"""What a camera does to the light it gets: averaging, rain on the lens, exposure, colour, blur, noise. Numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from stage1_core.data.road_scenes.description import SceneDescription


def expose(light: npt.NDArray[np.uint8], scene: SceneDescription) -> Image.Image:
    """The RGB picture, of the size that the description's camera has, for the rendered ``light`` (h, w, 3)."""
    sensor, camera = scene.sensor, scene.camera
    rng = np.random.default_rng(sensor.noise_seed)
    size = (camera.width_px, camera.height_px)
    averaged = Image.fromarray(np.ascontiguousarray(light)).resize(size, Image.Resampling.BOX)
    if sensor.blur_px > 0:
        averaged = averaged.filter(ImageFilter.GaussianBlur(sensor.blur_px))
    values = np.asarray(averaged, np.float32)
    if scene.air.night:
        values = values * _headlights(size)
    if scene.air.rain:
        values = _streak(values, rng)
    colour = np.array([sensor.red, 1.0, sensor.blue], np.float32) * np.float32(sensor.gain)
    values = (values * colour * _falloff(size, sensor.vignette) - 118) * np.float32(sensor.contrast) + 118
    values += rng.standard_normal(values.shape, np.float32) * np.float32(sensor.noise)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _falloff(size: tuple[int, int], lost: float) -> npt.NDArray[np.float32]:
    return np.asarray(1 - lost * _radius(size, 0.5, 0.5) ** 2 / 2, np.float32)[..., None]


def _headlights(size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Bright below the horizon ahead, dark at the sides."""
    return np.asarray(0.35 + 0.95 * np.exp(-1.4 * _radius(size, 0.5, 0.62) ** 2), np.float32)[..., None]


def _radius(size: tuple[int, int], u: float, v: float) -> npt.NDArray[np.float32]:
    """Distance from (u, v), as fractions of the picture, in half widths and half heights; shape (h, w)."""
    rows = (np.arange(size[1], dtype=np.float32)[:, None] / size[1] - v) * 2
    columns = (np.arange(size[0], dtype=np.float32)[None] / size[0] - u) * 2
    return np.asarray(np.hypot(rows, columns), np.float32)


def _streak(values: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Slanted bright streaks of falling rain."""
    height, width = values.shape[:2]
    length = max(3, height // 14)
    drops = (rng.random((height, width), np.float32) < 0.004).astype(np.float32)
    trail = np.maximum.reduce([np.roll(drops, (step, step // 4), axis=(0, 1)) for step in range(length)])
    return np.asarray(values * 0.92 + trail[..., None] * 34, np.float32)
