"""Renders a set of road scenes into a folder once: later calls verify it, a killed run goes on where it stopped."""

from __future__ import annotations

import csv
import functools
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stage1_core.config import FrozenModel
from stage1_core.data.road_scenes.description import RoadScenesConfig, SceneDescription, descriptions_jsonl
from stage1_core.data.road_scenes.drives import describe_scenes
from stage1_core.data.road_scenes.workers import render_all, require_packages, write_whole
from stage1_core.digests import digest_of_bytes, digest_of_file, digest_of_pairs
from stage1_core.errors import DataError


@dataclass(frozen=True, slots=True)
class RenderedScenes:
    """A complete set of rendered road scenes on disk."""

    folder: Path
    labels_csv: Path
    """Columns image (path relative to ``folder``), label (1 = road works), group (drive), source (district)."""
    pictures: int
    digest: str
    """Of the scene descriptions: what the set is, whichever machine rendered it."""
    rendered_now: int
    """Pictures rendered by this call; 0 when the set was complete."""


class _Request(FrozenModel):
    """What a folder is for; written before the first picture."""

    config: RoadScenesConfig
    generator: str
    """Digest of the source code that describes and renders."""
    descriptions: str
    """Digest of ``scenes.jsonl``."""
    labels: str
    """Digest of ``scenes.csv``."""


class _Manifest(FrozenModel):
    """Written last: its presence means that all pictures are there."""

    request: _Request
    bytes_of: dict[str, int]
    """File size of every picture."""


def render_scenes(
    config: RoadScenesConfig,
    folder: Path,
    *,
    processes: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RenderedScenes:
    """Makes sure that ``folder`` holds exactly the pictures of ``config``.

    Renders what is missing or has another size than recorded, with ``processes`` spawned processes (default: one for
    each core), and calls ``on_progress(done, total)`` before the first picture and after each batch. The descriptions
    in ``scenes.jsonl`` are the same to the byte on every machine; pictures differ in a few far pixels from run to run,
    and in brightness between panda3d's renderers. A newer version of this code renders the set again.

    Raises `DataError` if the folder holds another set, and `Stage1Error` if packages or libraries are missing.
    """
    folder = Path(folder)
    complete = _verified(config, folder)
    if complete is not None:
        return complete
    require_packages()
    scenes = describe_scenes(config)
    request = _claim(config, folder, scenes)
    recorded = _recorded_sizes(folder)
    todo = [scene for scene in scenes if not _is_intact(folder / scene.image, recorded.get(scene.image))]
    # Damaged ones go before the record of their sizes: without it, what exists counts as whole.
    for scene in todo:
        (folder / scene.image).unlink(missing_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    report = on_progress or (lambda done, total: None)
    if todo:
        done = len(scenes) - len(todo)
        report(done, len(scenes))
        for rendered in render_all(todo, folder, processes or os.cpu_count() or 1):
            done += rendered
            report(done, len(scenes))
    sizes = {scene.image: (folder / scene.image).stat().st_size for scene in scenes}
    write_whole(folder / "manifest.json", _Manifest(request=request, bytes_of=sizes).to_json().encode())
    return _rendered(folder, request, len(scenes), len(todo))


def _verified(config: RoadScenesConfig, folder: Path) -> RenderedScenes | None:
    """The set if it is complete, without describing it anew; None if there is something to do."""
    path = folder / "manifest.json"
    if not path.exists():
        return None
    manifest = _Manifest.from_json_file(path)
    _refuse_another_set(manifest.request, config, folder)
    request = manifest.request
    if request.generator != _generator_digest() or len(manifest.bytes_of) != config.pictures:
        return None
    for name, digest in (("scenes.jsonl", request.descriptions), ("scenes.csv", request.labels)):
        if not (folder / name).exists() or digest_of_file(folder / name) != digest:
            return None
    if not all(_is_intact(folder / image, size) for image, size in manifest.bytes_of.items()):
        return None
    return _rendered(folder, request, config.pictures, 0)


def _claim(config: RoadScenesConfig, folder: Path, scenes: tuple[SceneDescription, ...]) -> _Request:
    """Writes what the folder is for. Pictures of the same set made by other code are thrown away."""
    path = folder / "request.json"
    content, labels = descriptions_jsonl(scenes), _labels_csv(scenes)
    request = _Request(
        config=config,
        generator=_generator_digest(),
        descriptions=digest_of_bytes(content),
        labels=digest_of_bytes(labels),
    )
    if path.exists():
        earlier = _Request.from_json_file(path)
        _refuse_another_set(earlier, config, folder)
        if earlier != request:
            (folder / "manifest.json").unlink(missing_ok=True)
            for picture in (folder / "images").glob("*/*.jpg"):
                picture.unlink()
    elif (folder / "images").exists():
        raise DataError(f"{folder} holds images but no request.json of rendered road scenes; choose another folder")
    for half_written in (folder / "images").glob("*/*.unfinished"):
        half_written.unlink()
    for district in config.districts:
        (folder / "images" / district).mkdir(parents=True, exist_ok=True)
    write_whole(path, request.to_json().encode())
    write_whole(folder / "scenes.jsonl", content)
    write_whole(folder / "scenes.csv", labels)
    return request


def _refuse_another_set(earlier: _Request, config: RoadScenesConfig, folder: Path) -> None:
    if earlier.config == config:
        return
    theirs, ours = earlier.config.model_dump(), config.model_dump()
    changed = ", ".join(f"{name} {theirs[name]!r}, not {ours[name]!r}" for name in ours if theirs[name] != ours[name])
    raise DataError(f"{folder} holds road scenes with {changed}; choose another folder or delete this one")


def _recorded_sizes(folder: Path) -> dict[str, int]:
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    return _Manifest.from_json_file(path).bytes_of


def _is_intact(picture: Path, size: int | None) -> bool:
    """Whether the file is there with its recorded size; without a record: at all, for files appear only when whole."""
    try:
        found = picture.stat().st_size
    except FileNotFoundError:
        return False
    return found > 0 if size is None else found == size


def _labels_csv(scenes: tuple[SceneDescription, ...]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "group", "source"))
    writer.writerows((scene.image, scene.label, scene.drive, scene.district) for scene in scenes)
    return text.getvalue().encode()


def _rendered(folder: Path, request: _Request, pictures: int, rendered_now: int) -> RenderedScenes:
    return RenderedScenes(folder, folder / "scenes.csv", pictures, request.descriptions, rendered_now)


@functools.cache
def _generator_digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return digest_of_pairs((source.name, digest_of_file(source)) for source in sources)
