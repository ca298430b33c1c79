"""Addresses and ports of a stack."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deployments.stack.assembly import require_passwords_beyond_this_machine
from deployments.stack.config import StackConfig, free_port
from deployments.stack.credentials import Credentials
from stage1_core.errors import Stage1Error

CREDENTIALS = Credentials("operator", "correct-horse-battery", "STAGE1_STACK_AUTH")


def stack_config(**fields: object) -> StackConfig:
    return StackConfig(workspace=Path("/srv/stage1"), **fields)


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_only_the_loopback_is_local(host, local):
    assert stack_config(host=host).local == local


def test_a_host_that_nobody_knows_is_named():
    with pytest.raises(Stage1Error, match=r"--host no\.such\.host\.invalid is no name or address"):
        assert stack_config(host="no.such.host.invalid").local


def test_a_server_on_every_interface_is_called_by_the_name_of_its_machine_and_asked_on_the_loopback():
    config = stack_config(host="0.0.0.0", prefect_port=4300)
    assert config.prefect_api == f"http://{socket.gethostname()}:4300/api"
    assert config.asked_at == "127.0.0.1"


def test_an_address_of_version_six_is_bracketed():
    assert stack_config(host="::1", mlflow_port=5100).mlflow == "http://[::1]:5100"


def test_without_passwords_other_machines_are_not_let_in():
    with pytest.raises(Stage1Error, match="set STAGE1_STACK_AUTH=user:password first"):
        require_passwords_beyond_this_machine(stack_config(host="0.0.0.0"), None)
    with pytest.raises(Stage1Error, match=r"--public-mlflow-host mlflow\.example\.com opens both servers"):
        require_passwords_beyond_this_machine(stack_config(public_mlflow_host="mlflow.example.com"), None)
    require_passwords_beyond_this_machine(stack_config(host="0.0.0.0"), CREDENTIALS)
    require_passwords_beyond_this_machine(stack_config(), None)


def test_a_port_that_is_taken_is_named_with_its_option():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        with pytest.raises(Stage1Error, match=f"port {taken} of 127.0.0.1: .*; choose another --prefect-port"):
            stack_config(prefect_port=taken, mlflow_port=free_port()).require_free_ports()
    stack_config(prefect_port=taken, mlflow_port=free_port()).require_free_ports()


def test_both_servers_cannot_have_one_port():
    with pytest.raises(Stage1Error, match="both servers would listen on port 4200"):
        stack_config(prefect_port=4200, mlflow_port=4200).require_free_ports()
