"""What happens to a run whose process was killed, or whose machine is gone."""

from __future__ import annotations

from flows._flow import flow
from tasks.resuming import Outcome, resume_or_abandon


@flow("resume_crashed")
def resume_crashed(flow_run_id: str) -> Outcome:
    """Let a crashed run of a deployment go on where it stopped, three times at most; then give it up and say so.

    Args:
        flow_run_id: The crashed run. One that is not crashed, or that no worker could start, is left alone.
    """
    return resume_or_abandon(flow_run_id)
