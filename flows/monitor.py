"""The hourly look at what serves."""

from __future__ import annotations

from flows._flow import flow
from stage1_core.promotion.watch import MonitorConfig, WatchedModel
from tasks.watching import find_models, show_watched, watch_model

EVERY_CHAMPION = MonitorConfig()


@flow("monitor")
def monitor(config: MonitorConfig = EVERY_CHAMPION) -> list[WatchedModel]:
    """Verify the champions' bundles and look whether their promotion is on record; trouble is sent as an event.

    Args:
        config: Which models to look at.
    """
    watched = [watch_model(model) for model in find_models(config)]
    show_watched(watched)
    return watched
