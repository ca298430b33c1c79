"""Processes that render scenes side by side, each with one panda3d, which the calling process never imports."""

from __future__ import annotations

import functools
import importlib.util
import io
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from stage1_core.data.road_scenes.description import SceneDescription
from stage1_core.data.workers import end_with_parent
from stage1_core.errors import Stage1Error

if TYPE_CHECKING:
    from stage1_core.data.road_scenes.renderer import Renderer

PACKAGES = {
    "panda3d": "panda3d==1.10.16",
    "gltf": "panda3d-gltf==1.3.0",
    "metadrive": "metadrive-simulator==0.2.6.0",
}
_PICTURES_PER_JOB = 8


def require_packages() -> None:
    """Raises `Stage1Error` with the command that installs what is missing."""
    missing = [pin for module, pin in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise Stage1Error(
            f"rendering road scenes needs packages that are not installed: pip install --no-deps {' '.join(missing)} "
            "(--no-deps, because metadrive-simulator asks for old versions of packages that are not needed)"
        )


def render_all(scenes: list[SceneDescription], folder: Path, processes: int) -> Iterator[int]:
    """Writes all pictures below ``folder`` with spawned processes; yields the size of each batch as it is finished."""
    batches = [scenes[start : start + _PICTURES_PER_JOB] for start in range(0, len(scenes), _PICTURES_PER_JOB)]
    # Spawned, not forked: panda3d and the threads of whoever calls would not survive a fork.
    context = multiprocessing.get_context("spawn")
    workers = min(processes, len(batches))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        jobs = [pool.submit(_render_batch, [scene.model_dump_json() for scene in batch], folder) for batch in batches]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes all or nothing: a reader or a later run never meets half a file.

    Without waiting for the disk, unlike the library's other artifacts: whatever is lost here can be rendered again.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _render_batch(lines: Iterable[str], folder: Path) -> int:
    from stage1_core.data.road_scenes.sensor import expose

    count = 0
    for line in lines:
        scene = SceneDescription.model_validate_json(line)
        renderer = _renderer(scene.camera.width_px, scene.camera.height_px)
        encoded = io.BytesIO()
        expose(renderer.render(scene), scene).save(encoded, "JPEG", quality=scene.sensor.jpeg_quality)
        write_whole(folder / scene.image, encoded.getvalue())
        count += 1
    return count


@functools.cache
def _renderer(width_px: int, height_px: int) -> Renderer:
    # panda3d keeps global state and threads: it is imported in workers only.
    from stage1_core.data.road_scenes.renderer import Renderer

    return Renderer(width_px, height_px)
