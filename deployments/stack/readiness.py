"""How it is found out that a service answers."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request

from deployments.stack.credentials import Credentials

SECONDS_TO_ANSWER = 3.0


def answers(url: str, credentials: Credentials | None = None) -> bool:
    """Whether ``url`` is answered with success. Raises `PermissionError` where the server does not know the user."""
    request = urllib.request.Request(url)
    if credentials is not None:
        word = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know this machine
    try:
        with direct.open(request, timeout=SECONDS_TO_ANSWER) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise PermissionError(error.code, error.reason) from None
        return False
    except (OSError, http.client.HTTPException):  # nobody there yet, or somebody who speaks no HTTP
        return False


def database_answers(url: str) -> bool:
    """Whether PostgreSQL lets ``url``, with its password, in."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=int(SECONDS_TO_ANSWER)).close()
    except psycopg.OperationalError:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Whether Redis knows the password in ``url``."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=SECONDS_TO_ANSWER) as client:
            return bool(client.ping())
    except redis.exceptions.RedisError:  # time-outs are no child of ConnectionError
        return False
