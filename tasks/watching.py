"""Tasks that look whether the champions in the registry are still what was promoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect.artifacts import create_table_artifact

from stage1_core.errors import Stage1Error
from stage1_core.promotion.watch import MonitorConfig, WatchedModel
from tasks._task import effect
from tasks.events import EventName, emit, model_resource
from tasks.registry_aliases import INTENT_TAG, LAST_MOVE_TAG, aliases_of, last_move
from tasks.registry_bundles import fetch_bundle
from tasks.registry_versions import registered_model, registered_models, versions_of


@effect
def find_models(config: MonitorConfig) -> list[str]:
    """The models to look at. One that has lost its champion is among them: its last move, or a begun one, is there."""
    moved = {INTENT_TAG, LAST_MOVE_TAG}
    every = [found.name for found in registered_models() if "champion" in found.aliases or moved & found.tags.keys()]
    return list(config.models) or sorted(every)


@effect
def watch_model(model: str) -> WatchedModel:
    """Download and verify the champion, and look whether its promotion is on record; trouble is sent as an event."""
    watched = look_at(model)
    if watched.troubles:
        why = "; ".join(watched.troubles)
        emit(EventName.CHAMPION_IN_DOUBT, model_resource(model), version=watched.champion, why=why)
    return watched


@effect
def show_watched(watched: Sequence[WatchedModel]) -> None:
    """What was found, as a table in the page."""
    create_table_artifact([one.row() for one in watched], key="champions", description="Are they what was promoted?")


def look_at(model: str) -> WatchedModel:
    """What is wrong with a model, without telling anybody."""
    try:
        champion = aliases_of(model).champion
    except Stage1Error as absent:
        return WatchedModel(model=model, champion=None, troubles=(str(absent),))
    return WatchedModel(model=model, champion=champion, troubles=tuple(_troubles(model, champion)))


def _troubles(model: str, champion: str | None) -> Iterator[str]:
    if INTENT_TAG in registered_model(model).tags:
        yield f"a promotion or rollback has not ended; if none is running, run `stage1 repair {model}`"
    last = last_move(model)
    recorded = None if last is None else last.after.champion
    if champion is None:
        yield "no version is the champion; " + (f"the last one was version {recorded}" if recorded else "promote one")
        return
    if champion != recorded:
        yield (
            f"version {champion} is the champion, by the record it is {recorded or 'none'}: the alias was moved by "
            "hand; move it back, or promote the version that should be the champion"
        )
    try:
        fetch_bundle(model, versions_of(model)[champion].bundle())
    except Stage1Error as damaged:
        yield str(damaged)
