"""User and password of both servers."""

from __future__ import annotations

import os
import subprocess

import pytest

from deployments.stack.credentials import Credentials
from stage1_core.errors import Stage1Error

PASSWORD = "correct:horse:battery"


@pytest.mark.parametrize("variable", ["STAGE1_STACK_AUTH", "PREFECT_SERVER_API_AUTH_STRING"])
def test_they_come_from_the_environment(variable):
    found = Credentials.from_environment({variable: f"operator:{PASSWORD}"})
    assert (found.user, found.password) == ("operator", PASSWORD)
    assert found.of_prefect_server() == {"PREFECT_SERVER_API_AUTH_STRING": f"operator:{PASSWORD}"}
    assert found.of_client()["MLFLOW_TRACKING_PASSWORD"] == PASSWORD


@pytest.mark.parametrize("environment", [{}, {"STAGE1_STACK_AUTH": ""}])
def test_there_need_be_none(environment):
    assert Credentials.from_environment(environment) is None


@pytest.mark.parametrize("value", ["operator", ":correct-horse-battery", "operator:short"])
def test_what_a_server_would_not_accept_is_refused_without_showing_it(value):
    with pytest.raises(Stage1Error, match="STAGE1_STACK_AUTH is not user:password") as caught:
        Credentials.from_environment({"STAGE1_STACK_AUTH": value})
    assert value not in str(caught.value)


def test_they_are_not_shown():
    assert PASSWORD not in repr(Credentials("operator", PASSWORD, "STAGE1_STACK_AUTH"))


def test_the_printed_lines_set_in_another_shell_what_clients_need():
    credentials = Credentials("operator", PASSWORD, "STAGE1_STACK_AUTH")
    lines = credentials.exports()
    assert PASSWORD not in "".join(lines)
    printed = subprocess.run(
        ["sh", "-c", "\n".join([*lines, "env"])],
        env={"STAGE1_STACK_AUTH": f"operator:{PASSWORD}", "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert shown.items() >= credentials.of_client().items()
