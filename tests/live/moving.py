"""Moves of aliases, killed after every single write; run as a program, which prints what each crash left as JSON lines.

It forks, so it must stay free of threads: nothing of Prefect may run here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

from mlflow import MlflowClient

from stage1_core.promotion.evidence import Approval
from stage1_core.promotion.intent import Aliases, Intent
from tasks.registry_aliases import INTENT_TAG, Move, aliases_of, carry_out, settle_pending
from tests.promotion.moves import BEFORE, REGISTRY_WRITES

NOTE = "toy.note"


class Scenario(NamedTuple):
    """A move, and the version that is noted when it is done."""

    action: str
    after: Aliases
    noted: str


SCENARIOS = (
    Scenario("promote", Aliases(candidate=None, champion="3", previous="2"), "3"),
    Scenario("roll_back", Aliases(candidate="3", champion="1", previous=None), "2"),
)


def make_model(model: str) -> None:
    """A model with three versions; what they hold does not matter here."""
    client = MlflowClient()
    client.create_registered_model(model)
    for _ in range(3):
        client.create_model_version(model, "s3://nowhere/model")


def reset(model: str, noted: str) -> None:
    client = MlflowClient()
    client.delete_registered_model_tag(model, INTENT_TAG)
    client.delete_model_version_tag(model, noted, NOTE)
    for alias, version in BEFORE:
        client.set_registered_model_alias(model, alias, version)


def move_of(scenario: Scenario, model: str) -> Move:
    approval = Approval(decision="approve", approver="somebody", reason="a test", code="0" * 12)
    intent = Intent(
        action=scenario.action,
        model=model,
        before=BEFORE,
        after=scenario.after,
        evidence_digest="e" * 64 if scenario.action == "promote" else None,
        approval=approval if scenario.action == "promote" else None,
        nonce="this one",
        recorded_at="2001-02-03T04:05:06+00:00",
    )
    return Move(intent=intent, notes={scenario.noted: {NOTE: "done"}})


def killed_after(writes: int, act: Callable[[], object]) -> bool:
    """Run ``act`` in a process that kills itself behind its write number ``writes``; whether it came to that."""
    child = os.fork()
    if not child:
        kill_after(writes)
        act()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def kill_after(writes: int, methods: Sequence[str] = REGISTRY_WRITES) -> None:
    """Let this process end, by SIGKILL, as soon as it has written so often by one of ``methods``; at its first write
    where that is 0."""
    done = 0

    def fatal(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            if writes == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            outcome = write(*arguments, **named)
            done += 1
            if done == writes:
                os.kill(os.getpid(), signal.SIGKILL)
            return outcome

        return written

    for name in methods:
        setattr(MlflowClient, name, fatal(getattr(MlflowClient, name)))


def report(scenario: Scenario, model: str, killed: list[int]) -> None:
    """Repair, and print what the crashes had left and what is there now."""
    left = aliases_of(model)
    ended = settle_pending(model)
    client = MlflowClient()
    found = {
        "action": scenario.action,
        "killed_after": killed,
        "left": left.model_dump(),
        "outcome": None if ended is None else ended.outcome,
        "aliases": aliases_of(model).model_dump(),
        "after": scenario.after.model_dump(),
        "pending": INTENT_TAG in client.search_registered_models(f"name = '{model}'")[0].tags,
        "noted": NOTE in client.get_model_version(model, scenario.noted).tags,
    }
    sys.stdout.write(json.dumps(found) + "\n")


def main() -> None:
    """Kill every move after every number of writes, and every repair of what that leaves as well."""
    for scenario in SCENARIOS:
        model = f"moved-{scenario.action}"
        make_model(model)
        for writes in count():
            if not kill_and_repair(scenario, model, writes):
                break


def kill_and_repair(scenario: Scenario, model: str, writes: int) -> bool:
    """Kill the move, then the repair of that, behind each of its writes; whether the move was still killed."""
    for repairs in count():
        reset(model, scenario.noted)
        killed = killed_after(writes, lambda: carry_out(move_of(scenario, model)))
        repair_killed = killed_after(repairs, lambda: settle_pending(model))
        report(scenario, model, [writes, repairs])
        if not repair_killed:
            return killed
    raise AssertionError("count ends never")


if __name__ == "__main__":
    main()
