"""A service that does not answer, or answers nonsense, is not ready; that is no error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from deployments.stack import readiness
from deployments.stack.readiness import answers, redis_answers


@pytest.fixture(params=[b"", b"nonsense\r\n\r\n"], ids=["silence", "nonsense"])
def port(request, monkeypatch) -> Iterator[int]:
    """Of a listener that says this to everybody, and then waits."""
    monkeypatch.setattr(readiness, "SECONDS_TO_ANSWER", 0.3)
    called: list[socket.socket] = []

    def answer(listener: socket.socket) -> None:
        while True:
            try:
                called.append(listener.accept()[0])
            except OSError:
                return
            called[-1].sendall(request.param)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in called:
        one.close()


def test_a_page_that_does_not_come_is_not_ready(port):
    assert not answers(f"http://127.0.0.1:{port}/health")


def test_a_redis_that_does_not_answer_is_not_ready(port):
    assert not redis_answers(f"redis://default:secret@127.0.0.1:{port}/0")
