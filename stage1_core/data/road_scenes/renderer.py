"""Turns scene descriptions into pictures with panda3d's software rasteriser. Import only in a process that renders."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from panda3d.core import (
    AmbientLight,
    CardMaker,
    ColorWriteAttrib,
    DirectionalLight,
    FrameBufferProperties,
    GraphicsEngine,
    GraphicsOutput,
    GraphicsPipe,
    GraphicsPipeSelection,
    NodePath,
    PerspectiveLens,
    Texture,
    TransparencyAttrib,
    WindowProperties,
    load_prc_file_data,
)
from panda3d.core import Camera as PandaCamera

from stage1_core.data.road_scenes.assets import load_sky, load_texture
from stage1_core.data.road_scenes.description import Air, Camera, Colour, Road, SceneDescription
from stage1_core.data.road_scenes.geometry import FloatArray, dome, strips
from stage1_core.data.road_scenes.models import place
from stage1_core.errors import Stage1Error

_BACKENDS = ("p3tinydisplay", "p3headlessgl")
"""Fastest first: pure software that needs libX11 but no display, then OpenGL through EGL."""
_SUPERSAMPLING = 2
_FAR = 420.0
_Layer = tuple[FloatArray, str | None, float, Colour]
"""Spans, texture, metres after which it repeats, tint."""


class Renderer:
    """One off-screen buffer of a fixed size. Use one per process: panda3d keeps global state."""

    def __init__(self, width_px: int, height_px: int) -> None:
        load_prc_file_data("", "audio-library-name null\nnotify-level fatal\ntextures-power-2 none\n")
        self._size = (width_px * _SUPERSAMPLING, height_px * _SUPERSAMPLING)
        self._engine = GraphicsEngine.get_global_ptr()
        self._buffer = self._open_buffer()
        self._picture = Texture()
        self._buffer.add_render_texture(self._picture, GraphicsOutput.RTM_copy_ram)
        self._camera = NodePath(PandaCamera("camera"))
        self._buffer.make_display_region().set_camera(self._camera)

    def render(self, scene: SceneDescription) -> npt.NDArray[np.uint8]:
        """RGB picture (height, width, 3) without the flaws of a sensor.

        Twice as large each way as the description's camera says; the sensor averages it down.
        """
        root = _build(scene)
        _aim(self._camera, scene.camera)
        self._camera.reparent_to(root)
        _hang_sky_and_veils(self._camera, scene)
        self._engine.render_frame()
        pixels = np.frombuffer(self._picture.get_ram_image_as("RGB"), np.uint8)
        for child in self._camera.get_children():
            child.remove_node()
        self._camera.detach_node()
        root.remove_node()
        return pixels.reshape(self._size[1], self._size[0], 3)[::-1]

    def _open_buffer(self) -> GraphicsOutput:
        properties = FrameBufferProperties()
        properties.set_rgba_bits(8, 8, 8, 0)
        properties.set_depth_bits(24)
        for backend in _BACKENDS:
            pipe = GraphicsPipeSelection.get_global_ptr().make_module_pipe(backend)
            if pipe is None:
                continue
            window = WindowProperties.size(*self._size)
            buffer = self._engine.make_output(pipe, "scene", 0, properties, window, GraphicsPipe.BF_refuse_window)
            if buffer is not None:
                return buffer
        raise Stage1Error(
            f"panda3d can open none of its renderers {', '.join(_BACKENDS)}; install libX11 (Debian: libx11-6) for the "
            "first, or EGL with a software driver (Debian: libegl1 and libgl1-mesa-dri) for the second"
        )


def _build(scene: SceneDescription) -> NodePath:
    root = NodePath("scene")
    _lay_ground(root, scene.road)
    for thing in scene.things:
        if thing.y - scene.camera.y > -15:
            place(root, thing)
    _light(root, scene.air)
    return root


def _aim(holder: NodePath, camera: Camera) -> None:
    lens = PerspectiveLens()
    lens.set_aspect_ratio(camera.width_px / camera.height_px)
    lens.set_fov(camera.fov_deg)
    lens.set_near_far(0.5, _FAR)
    holder.node().set_lens(lens)
    holder.set_pos(camera.x, camera.y, camera.z)
    holder.set_hpr(camera.yaw_deg, camera.pitch_deg, camera.roll_deg)


def _light(root: NodePath, air: Air) -> None:
    warm, cold = 1 + 0.12 * air.warmth, 1 - 0.12 * air.warmth
    ambient = AmbientLight("ambient")
    ambient.set_color((air.ambient * 0.97, air.ambient, air.ambient * 1.05, 1))
    sun = DirectionalLight("sun")
    sun.set_color((air.sun * warm, air.sun, air.sun * cold, 1))
    azimuth, elevation = math.radians(air.sun_azimuth_deg), math.radians(air.sun_elevation_deg)
    reach = math.cos(elevation)
    sun.set_direction((-math.sin(azimuth) * reach, -math.cos(azimuth) * reach, -math.sin(elevation)))
    for light in (ambient, sun):
        root.set_light(root.attach_new_node(light))


def _lay_ground(root: NodePath, road: Road) -> None:
    """Verge, pavement, carriageway, markings: painted one over the other, for all lies in one plane."""
    half, pavement = road.half_width(), road.pavement_width
    layers: list[_Layer] = [
        (_along(-260, 260, 20), _VERGES[road.verge], 5.0, road.verge_tint),
    ]
    if pavement > 0:
        slabs = np.concatenate([_along(-half - pavement, -half), _along(half, half + pavement)])
        layers.append((slabs, "sidewalk/color.png", 2.2, (0.85, 0.85, 0.85)))
        kerbs = np.concatenate([_along(-half - 0.2, -half), _along(half, half + 0.2)])
        layers.append((kerbs, None, 1.0, (0.62, 0.62, 0.6)))
    layers.append((_along(-half, half), "sci/color.jpg", 6.0, road.surface_tint))
    layers += _markings(road)
    for order, (spans, texture, metres, tint) in enumerate(layers):
        layer = strips(spans, road.curvature, metres)
        if texture:
            layer.set_texture(_texture(texture))
        layer.set_color_scale(*tint, 1)
        layer.set_bin("background", 10 + order)
        layer.set_depth_write(False)
        layer.set_depth_test(False)
        layer.reparent_to(root)
    # Only now its depth, just below, so that the ground hides the veils of haze that are behind it.
    plane = strips(_along(-260, 260), road.curvature, 1.0)
    plane.set_z(-0.03)
    plane.set_attrib(ColorWriteAttrib.make(ColorWriteAttrib.C_off))
    plane.set_bin("background", 10 + len(layers))
    plane.reparent_to(root)


_VERGES = {
    "grass": "grass2/color.jpg",
    "soil": "ground.png",
    "concrete": "sci/color.jpg",
    "paving": "sidewalk/color.png",
}


def _markings(road: Road) -> list[_Layer]:
    white: Colour = (0.92, 0.92, 0.9)
    half = road.half_width()
    edges = np.concatenate([_along(-half + 0.15, -half + 0.3), _along(half - 0.3, half - 0.15)])
    dashes = []
    for lane in range(1, road.lanes):
        offset = lane * road.lane_width - half
        for near in np.arange(-5, 120, road.dash * 1.5):
            dashes.append((offset - 0.07, offset + 0.07, near, near + road.dash))
    marks: list[_Layer] = [(edges, None, 1.0, white), (np.array(dashes, np.float32), None, 1.0, white)]
    if road.yellow_centre:
        middle = (road.lanes // 2) * road.lane_width - half
        double = np.concatenate([_along(middle - 0.2, middle - 0.08), _along(middle + 0.08, middle + 0.2)])
        marks.append((double, None, 1.0, (0.95, 0.75, 0.15)))
    return marks


def _along(left: float, right: float, step: float = 5.0) -> FloatArray:
    """Pieces of one strip from behind the camera to the horizon."""
    near = np.concatenate([np.arange(-10, 120, step), np.arange(120, 400, 40)])
    far = np.append(near[1:], 400)
    return np.stack([np.full_like(near, left), np.full_like(near, right), near, far], axis=1).astype(np.float32)


def _hang_sky_and_veils(camera: NodePath, scene: SceneDescription) -> None:
    """The sky behind everything, and veils of haze at growing distances before it.

    The software renderer knows no fog. Veils facing the camera, each as opaque as the air since the one before it, do
    the same on every renderer; with black veils they make the end of the headlights' reach.
    """
    air = scene.air
    sky = dome(_FAR * 0.9)
    sky.set_texture(_sky())
    sky.set_light_off()
    brightness = 0.12 if air.night else 0.75 + 0.3 * air.sun
    sky.set_color_scale(brightness, brightness, brightness * (1.5 if air.night else 1), 1)
    sky.set_compass(camera.get_parent())
    sky.set_h(camera.get_parent(), air.sky_azimuth_deg)
    _behind_all(sky, camera, 0)
    if air.overcast > 0:
        grey = brightness * 0.85
        _behind_all(_veil(_FAR * 0.8, (grey, grey, grey * 1.02), air.overcast), camera, 1)
    if air.visibility_m > 0:
        distances = np.geomspace(4.0, _FAR * 0.7, 18)
        lengths = np.diff(distances, prepend=0.0)
        for distance, length in zip(distances, lengths, strict=True):
            veil = _veil(float(distance), air.haze, 1 - math.exp(-3 * float(length) / air.visibility_m))
            veil.set_bin("fixed", int(1000 - distance))
            veil.set_depth_write(False)
            veil.reparent_to(camera)


def _behind_all(node: NodePath, camera: NodePath, order: int) -> None:
    node.set_bin("background", order)
    node.set_depth_write(False)
    node.set_depth_test(False)
    node.reparent_to(camera)


def _veil(distance: float, colour: Colour, opacity: float) -> NodePath:
    maker = CardMaker("veil")
    reach = distance * 1.6
    maker.set_frame(-reach, reach, -reach, reach)
    veil = NodePath(maker.generate())
    veil.set_y(distance)
    veil.set_light_off()
    veil.set_transparency(TransparencyAttrib.M_alpha)
    veil.set_color(*colour, opacity)
    return veil


@functools.cache
def _texture(name: str) -> Texture:
    return load_texture(name, 256)


@functools.cache
def _sky() -> Texture:
    return load_sky(2048)
