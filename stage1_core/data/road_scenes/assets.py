"""Models and textures that the metadrive-simulator wheel carries, loaded without importing it. Needs panda3d."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import gltf
from panda3d.core import (
    NodePath,
    SamplerState,
    Texture,
    TransparencyAttrib,
)
from PIL import Image

MODEL_FILES = {
    "cone": "traffic_cone/scene.gltf",
    "barricade": "barrier/scene.gltf",
    "warning_triangle": "warning/warning.gltf",
    "tollgate": "tollgate/gate.gltf",
    "car_coupe": "vehicle/130/vehicle.gltf",
    "car_beetle": "vehicle/beetle/vehicle.gltf",
    "car_sport": "vehicle/ferra/vehicle.gltf",
    "car_jeep": "vehicle/lada/vehicle.gltf",
    "truck": "vehicle/truck/vehicle.gltf",
}
_LARGEST_TEXTURE_PX = 256


def assets_folder() -> Path:
    """Folder of the wheel's assets. The package itself is never imported: it would want old gym and protobuf."""
    spec = importlib.util.find_spec("metadrive")
    assert spec is not None, "checked before rendering starts"
    assert spec.submodule_search_locations, "a package has a folder"
    return Path(spec.submodule_search_locations[0]) / "assets"


def load_model(kind: str) -> NodePath:
    """The model as a NodePath in metres or whatever its author used; see `fitted` for its size in the scene."""
    source = assets_folder() / "models" / MODEL_FILES[kind]
    with tempfile.TemporaryDirectory() as folder:
        slim = Path(folder) / "model.gltf"
        slim.write_text(json.dumps(_without_unused_maps(source)))
        # With sRGB texture formats the software renderer drops all textures.
        model = NodePath(gltf.load_model(str(slim), gltf.GltfSettings(no_srgb=True, skip_animations=True)))
    # Materials that ask for blending make the barricade invisible; nothing here needs to be seen through.
    model.set_transparency(TransparencyAttrib.MNone, 1000)
    model.flatten_strong()
    return model


def fitted(model: NodePath, size: tuple[float, float, float]) -> NodePath:
    """``model`` scaled to width, length, height in metres, standing centred on the origin."""
    low, high = model.get_tight_bounds()
    extent = high - low
    scale = [wanted / max(have, 1e-6) for wanted, have in zip(size, extent, strict=True)]
    model.set_scale(*scale)
    model.set_pos(-(low.x + high.x) / 2 * scale[0], -(low.y + high.y) / 2 * scale[1], -low.z * scale[2])
    holder = NodePath("fitted")
    model.reparent_to(holder)
    holder.flatten_strong()
    return holder


def load_texture(name: str, side_px: int) -> Texture:
    """A square repeating texture from the wheel's ``textures`` folder."""
    with Image.open(assets_folder() / "textures" / name) as picture:
        picture.draft("RGB", (side_px, side_px))
        return texture_of(picture.convert("RGB").resize((side_px, side_px), Image.Resampling.LANCZOS))


def load_sky(width_px: int) -> Texture:
    """The photographed sky from the horizon (bottom) to the zenith (top), all 360 degrees."""
    with Image.open(assets_folder() / "textures" / "skybox.jpg") as picture:
        picture.draft("RGB", (width_px, width_px // 2))  # decodes a 33 megapixel file at an eighth of its size
        width, height = picture.size
        upper = picture.convert("RGB").crop((0, 0, width, int(height * 0.494)))
        return texture_of(upper.resize((width_px, width_px // 4), Image.Resampling.BOX), mipmaps=False)


def texture_of(picture: Image.Image, *, mipmaps: bool = True) -> Texture:
    """A panda texture of an RGB picture."""
    texture = Texture()
    texture.setup_2d_texture(picture.width, picture.height, Texture.T_unsigned_byte, Texture.F_rgb)
    texture.set_ram_image_as(picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes(), "RGB")
    texture.set_minfilter(SamplerState.FT_linear_mipmap_linear if mipmaps else SamplerState.FT_linear)
    texture.set_magfilter(SamplerState.FT_linear)
    return texture


def _without_unused_maps(source: Path) -> dict[str, Any]:
    """The glTF document with its buffers inside, base colours made small, and normal and roughness maps dropped.

    The renderers used here ignore those maps, yet decoding them takes most of the loading time. Files named by
    relative path become data URIs, since the loader looks for them on a search path of its own.
    """
    document: dict[str, Any] = json.loads(source.read_bytes())
    for buffer in document.get("buffers", []):
        if not buffer["uri"].startswith("data:"):
            content = (source.parent / buffer["uri"]).read_bytes()
            buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    used: set[int] = set()
    for material in document.get("materials", []):
        for name in ("normalTexture", "occlusionTexture", "emissiveTexture"):
            material.pop(name, None)
        surface = material.get("pbrMetallicRoughness", {})
        surface.pop("metallicRoughnessTexture", None)
        if "baseColorTexture" in surface:
            used.add(document["textures"][surface["baseColorTexture"]["index"]]["source"])
    for index, image in enumerate(document.get("images", [])):
        small = _small_data_uri(_image_content(document, image, source.parent)) if index in used else _WHITE_PIXEL
        image.clear()
        image["uri"] = small
    return document


def _image_content(document: dict[str, Any], image: dict[str, Any], folder: Path) -> bytes:
    if "bufferView" in image:
        view = document["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        return _decoded(document["buffers"][view["buffer"]]["uri"])[start : start + view["byteLength"]]
    uri: str = image["uri"]
    return _decoded(uri) if uri.startswith("data:") else (folder / uri).read_bytes()


def _decoded(data_uri: str) -> bytes:
    return base64.b64decode(data_uri.split(",", 1)[1])


def _small_data_uri(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as opened:
        opened.draft("RGB", (_LARGEST_TEXTURE_PX, _LARGEST_TEXTURE_PX))
        picture = opened.convert("RGBA" if opened.mode == "P" else "RGB").convert("RGB")
    picture.thumbnail((_LARGEST_TEXTURE_PX, _LARGEST_TEXTURE_PX))
    return _data_uri(picture)


def _data_uri(picture: Image.Image) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode()


_WHITE_PIXEL = _data_uri(Image.new("RGB", (1, 1), "white"))
