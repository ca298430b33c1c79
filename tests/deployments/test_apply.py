"""What is said about a server that refuses; `apply` itself is tried on a real one, in tests/live."""

from __future__ import annotations

import traceback

import httpx
import pytest

from deployments.apply import _refusals_explained
from stage1_core.errors import Stage1Error

SERVER = "http://127.0.0.1:4200/api"
ADDRESS = "https://hooks.example/T0/secret"


def refuse(path: str, status: int) -> None:
    """As Prefect's server does: it repeats what it was sent."""
    request = httpx.Request("POST", f"{SERVER}{path}")
    answer = httpx.Response(status, request=request, json={"exception_message": "no", "request_body": ADDRESS})
    answer.raise_for_status()


def test_a_refusal_says_what_was_asked_and_what_was_answered():
    with (
        pytest.raises(Stage1Error, match=r"refused POST /api/deployments/ with 422: .*exception_message"),
        _refusals_explained(SERVER),
    ):
        refuse("/deployments/", 422)


def test_a_refused_webhook_does_not_show_its_address():
    with (
        pytest.raises(Stage1Error, match=r"refused POST /api/block_documents/ with 422$") as caught,
        _refusals_explained(SERVER),
    ):
        refuse("/block_documents/", 422)
    assert ADDRESS not in "".join(traceback.format_exception(caught.value))


def test_a_missing_password_is_asked_for():
    with pytest.raises(Stage1Error, match=r"with 401.*; set PREFECT_API_AUTH_STRING$"), _refusals_explained(SERVER):
        refuse("/deployments/", 401)
