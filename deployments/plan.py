"""Everything that a server should hold, from what a person chose."""

from __future__ import annotations

from pydantic import SecretStr

from deployments.automations import automations
from deployments.config import DeployConfig
from deployments.description import Plan, Webhook
from deployments.pools import gpu_limit, pools
from deployments.served import SERVED, Choices
from stage1_core import __version__
from stage1_core.phases.ladder import LadderConfig
from tasks.release import git_commit

WEBHOOK_BLOCK = "stage1-notifications"


def plan(config: DeployConfig, retrained: LadderConfig, *, webhook_url: str | None = None) -> Plan:
    """The pools, limits, deployments and automations of ``config``; retraining climbs ``retrained``.

    Imports every flow, which takes seconds.
    """
    webhook = Webhook(name=WEBHOOK_BLOCK, url=SecretStr(webhook_url)) if webhook_url else None
    choices = Choices(config, retrained, code_version())
    deployments = tuple(served.describe(choices) for served in SERVED)
    return Plan(
        pools=pools(config),
        limits=(gpu_limit(config),),
        webhook=webhook,
        deployments=deployments,
        automations=automations(config, deployments, webhook),
    )


def code_version() -> str:
    """The library's version, with the commit where it runs from a repository."""
    commit = git_commit()
    return f"{__version__}+{commit[:12]}" if commit else __version__
