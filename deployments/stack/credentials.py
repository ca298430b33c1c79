"""User name and password of both servers: from the environment to the environment, never onto a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stage1_core.errors import Stage1Error

VARIABLES = ("STAGE1_STACK_AUTH", "PREFECT_SERVER_API_AUTH_STRING")
"""The first that is set counts; both are ``user:password``."""
MIN_PASSWORD_LENGTH = 12
"""MLflow refuses shorter ones."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One user, who may do everything, on both servers."""

    user: str
    password: str = field(repr=False)
    variable: str
    """Where they were found."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Credentials | None:
        """None where no variable is set: the servers are then open to everybody on this machine.

        Raises `Stage1Error`, without the value, when it is no user and password that both servers accept.
        """
        variable = next((name for name in VARIABLES if environment.get(name)), None)
        if variable is None:
            return None
        user, _, password = environment[variable].partition(":")
        if not user or len(password) < MIN_PASSWORD_LENGTH:
            raise Stage1Error(
                f"{variable} is not user:password with at least {MIN_PASSWORD_LENGTH} characters behind the colon; "
                "set it anew, for instance with a password from `openssl rand -hex 16`"
            )
        return cls(user, password, variable)

    def of_prefect_server(self) -> dict[str, str]:
        """What makes Prefect's server ask."""
        return {"PREFECT_SERVER_API_AUTH_STRING": f"{self.user}:{self.password}"}

    def of_mlflow_server(self) -> dict[str, str]:
        """The user that MLflow makes when it first starts."""
        return {"MLFLOW_AUTH_ADMIN_USERNAME": self.user, "MLFLOW_AUTH_ADMIN_PASSWORD": self.password}

    def of_client(self) -> dict[str, str]:
        """What workers and runs answer with."""
        return {
            "PREFECT_API_AUTH_STRING": f"{self.user}:{self.password}",
            "MLFLOW_TRACKING_USERNAME": self.user,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    def exports(self) -> list[str]:
        """Lines for another shell in which ``variable`` is set: they name it and do not show it."""
        return [
            f'export PREFECT_API_AUTH_STRING="${self.variable}"',
            f'export MLFLOW_TRACKING_USERNAME="${{{self.variable}%%:*}}"',
            f'export MLFLOW_TRACKING_PASSWORD="${{{self.variable}#*:}}"',
        ]
