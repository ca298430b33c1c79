"""Tasks that look whether the champions in the registry are still what was promoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect.artifacts import create_table_artifact

from stage1_core.errors import Stage1Error
from stage1_core.promotion.watch import MonitorConfig, WatchedModel
from tasks._task import effect
from tasks.events import EventName, emit, model_resource
from tasks.registry_aliases import INTENT_TAG, aliases_of
from tasks.registry_bundles import fetch_bundle
from tasks.registry_versions import PROMOTED_AT, registered_model, versions_of
from tasks.tracking import client


@effect
def find_models(config: MonitorConfig) -> list[str]:
    """The models to look at."""
    having_champions = [found.name for found in client().search_registered_models() if "champion" in found.aliases]
    return list(config.models) or sorted(having_champions)


@effect
def watch_model(model: str) -> WatchedModel:
    """Download and verify the champion, and look whether its promotion is on record; trouble is sent as an event."""
    champion = aliases_of(model).champion
    watched = WatchedModel(model=model, champion=champion, troubles=tuple(_troubles(model, champion)))
    if watched.troubles:
        emit(EventName.CHAMPION_IN_DOUBT, model_resource(model), version=champion, found="; ".join(watched.troubles))
    return watched


@effect
def show_watched(watched: Sequence[WatchedModel]) -> None:
    """What was found, as a table in the page."""
    create_table_artifact([one.row() for one in watched], key="champions", description="Are they what was promoted?")


def _troubles(model: str, champion: str | None) -> Iterator[str]:
    if INTENT_TAG in registered_model(model).tags:
        yield f"a promotion or rollback has not ended; if none is running, run `stage1 repair {model}`"
    if champion is None:
        yield "no version is the champion; promote one"
        return
    record = versions_of(model)[champion]
    if PROMOTED_AT not in record.tags:
        yield f"no promotion of version {champion} is on record: the alias was moved by hand; roll back or promote it"
    try:
        fetch_bundle(model, record.bundle())
    except Stage1Error as damaged:
        yield str(damaged)
