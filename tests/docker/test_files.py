"""Images and compose file, without an engine: nothing is built. Each rule is also tried on copies that break it."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker.files import (
    VARIABLE,
    Docker,
    base_images,
    copied,
    default_command,
    filled,
    image_variables,
    instructions,
)

ROOT = Path(__file__).parents[2]
COMPOSE, WITH_GPU, EXAMPLE = "docker/compose.yaml", "docker/compose.gpu.yaml", "docker/.env.example"
WORKER, SERVER = "docker/worker.Dockerfile", "docker/server.Dockerfile"
PREFECT_IMAGE, MLFLOW_IMAGE = "prefecthq/prefect", "ghcr.io/mlflow/mlflow"
OF_OTHERS = {
    "PATH", "HOME", "PYTHONUNBUFFERED", "HF_HOME", "HF_TOKEN", "DO_NOT_TRACK",
    "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS",  # documented by PostgreSQL's image
    "REDISCLI_AUTH",  # documented by redis-cli
}  # fmt: skip
"""Variables that the system, Python, the hub's client or an official image reads."""
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|_URL$|_URI$")
RUNS_ONCE = {"deploy"}


def every_copied_file_is_in_the_build_context(docker: Docker) -> None:
    sources = [source for dockerfile in docker.dockerfiles for source in copied(dockerfile)]
    assert len(sources) > 5
    for source in sources:
        assert (docker.root / source).exists(), source
        assert not docker.ignored(source), source


def the_context_has_no_secrets_and_no_records(docker: Docker) -> None:
    for path in (
        "docker/.env",
        "artifacts/mlflow.db",
        ".git/config",
        ".venv/bin/python",
        "stage1_core/__pycache__/a.pyc",
    ):
        assert docker.ignored(path), path


def the_worker_installs_all_packages_of_the_project(docker: Docker) -> None:
    settings = tomllib.loads((docker.root / "pyproject.toml").read_text())
    packages = {name.removesuffix("*") for name in settings["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied(docker.root / WORKER))
    arguments = dict(rest.split("=") for word, rest in instructions(docker.root / WORKER)
                     if word == "ARG")  # fmt: skip
    assert set(arguments["EXTRAS"].split(",")) <= set(settings["project"]["optional-dependencies"])


def versions_are_those_of_the_constraints(docker: Docker) -> None:
    for dockerfile in docker.dockerfiles:
        installs = [rest for word, rest in instructions(dockerfile) if word == "RUN" and "pip install" in rest]
        assert installs, dockerfile
        for install in installs:
            assert "--constraint constraints.txt" in install, dockerfile
            assert "==" not in install, "versions stand in constraints.txt alone"
    server = docker.root / SERVER
    (install,) = [rest for word, rest in instructions(server) if "pip install" in rest]
    for name in re.split(r"\s+", install.rpartition("constraints.txt")[2].strip()):
        assert re.sub(r"\[.*\]", "", name.strip('"')).lower() in docker.pins, name


def images_of_others_have_whole_versions(docker: Docker) -> None:
    own = {service["image"] for service in docker.services.values() if "build" in service}
    images = [service["image"] for service in docker.services.values() if service["image"] not in own]
    images += [image for dockerfile in docker.dockerfiles for image in base_images(dockerfile)]
    assert len(images) > 4
    for image in images:
        name, _, tag = image.partition(":")
        assert re.match(r"\d+\.\d+", tag), image
        if name in (PREFECT_IMAGE, MLFLOW_IMAGE):
            assert docker.pins[name.rpartition("/")[2]] in tag, image
        if name == "python":
            assert tag.startswith("3.11."), image


def nobody_is_root(docker: Docker) -> None:
    for dockerfile in docker.dockerfiles:
        users = [rest for word, rest in instructions(dockerfile) if word == "USER"]
        assert users, dockerfile
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), dockerfile
    for name, service in docker.services.items():
        assert "build" in service or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert "user" not in service or not service["user"].startswith("0"), name


def containers_can_change_only_what_they_must(docker: Docker) -> None:
    for name, service in docker.services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "/tmp" in service["tmpfs"], name
        assert not service.get("privileged"), name
    named = set(docker.compose["volumes"])
    mounts = [mount for service in docker.services.values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source = filled(mount).partition(":")[0]
        assert source in named or (docker.root / "docker" / source).exists(), mount
        assert mount.partition(":")[0] in named or mount.endswith(":ro"), mount


def no_password_is_written_down(docker: Docker) -> None:
    for name, service in docker.services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                rest = VARIABLE.sub("", str(value))
                assert not re.search(r"://[^/@]*:[^/@]+@", rest), f"{name}: {variable}"
                assert "://" in rest or "/" in rest or rest.strip(":") == "", f"{name}: {variable}"
        assert not VARIABLE.search(" ".join(service.get("command", []))), f"{name}: everybody can read a command line"
    for dockerfile in docker.dockerfiles:
        secret = [each for each in image_variables(dockerfile) if re.search(r"PASSWORD|SECRET|TOKEN|AUTH_STRING", each)]
        assert secret == [], dockerfile
    for variable, value in docker.example.items():
        assert not SECRET.search(variable) or value == "", variable


def the_example_has_what_compose_asks_for(docker: Docker) -> None:
    assert docker.interpolated == set(docker.example)
    needed = {name for name, value in docker.example.items() if SECRET.search(name) and not value}
    optional = {"HF_TOKEN", "STAGE1_WEBHOOK_URL"}
    for name in needed - optional:
        assert f"${{{name}:?" in docker.compose_text, f"{name} may stay empty unseen"


def ports_are_published_on_the_loopback(docker: Docker) -> None:
    published = [port for service in docker.services.values() for port in service.get("ports", [])]
    assert len(published) == 2
    for port in published:
        assert str(port).startswith("127.0.0.1:"), port


def only_servers_reach_the_databases(docker: Docker) -> None:
    assert docker.compose["networks"]["databases"]["internal"] is True
    there = {name for name, service in docker.services.items() if "databases" in service["networks"]}
    assert there == {"postgres", "redis", "prefect", "mlflow"}
    assert all(docker.services[name]["networks"] == ["databases"] for name in ("postgres", "redis"))


def services_wait_for_what_they_need(docker: Docker) -> None:
    for name, service in docker.services.items():
        once = name in RUNS_ONCE
        assert once or service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in RUNS_ONCE else "service_healthy"
            assert how == {"condition": wanted}, f"{name} on {other}"
            assert other in docker.services, other
    needs = {name: set(service.get("depends_on", {})) for name, service in docker.services.items()}
    assert needs["prefect"] == {"postgres", "redis"}
    assert needs["mlflow"] == {"postgres"}
    assert needs["deploy"] == {"prefect"}
    assert all(needs[name] >= {"deploy", "mlflow"} for name in needs if name.startswith("worker"))


def a_worker_serves_each_pool_with_and_without_a_gpu(docker: Docker) -> None:
    from deployments.config import DeployConfig
    from deployments.pools import pools

    commands = [service["command"] for name, service in docker.services.items() if name.startswith("worker")]
    assert {command[command.index("--pool") + 1] for command in commands} == {
        pool.name for pool in pools(DeployConfig())
    }
    assert not [name for name, service in docker.services.items() if {"profiles", "deploy"} & service.keys()]
    assert list(docker.with_gpu) == ["worker-gpu"]
    assert "gpu" in docker.services["worker-gpu"]["command"]
    (device,) = docker.with_gpu["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def no_worker_has_a_variable_that_its_pool_overrules(docker: Docker) -> None:
    from deployments.config import DeployConfig
    from deployments.pools import pools

    for pool in pools(DeployConfig()):
        overruled = pool.base_job_template["variables"]["properties"]["env"]["default"]
        assert "STAGE1_DEVICE" in overruled
        assert not overruled.keys() & docker.services[f"worker-{pool.name}"]["environment"].keys()


def workers_can_read_pictures_of_this_machine(docker: Docker) -> None:
    for name in ("deploy", "worker-cpu", "worker-gpu"):
        mounts = [filled(mount, PICTURES="/srv/pictures") for mount in docker.services[name]["volumes"]]
        assert "/srv/pictures:/pictures:ro" in mounts, name


def a_proxy_can_stand_before_both_servers(docker: Docker) -> None:
    from mlflow.server.security_utils import is_allowed_host_header, should_block_cors_request

    assert docker.services["prefect"]["environment"]["PREFECT_SERVER_UI_API_URL"] == "/api"
    said = docker.services["mlflow"]["environment"]
    for public in ("mlflow.example.com", "mlflow.example.com:8443"):
        hosts, origins = (
            filled(said[f"MLFLOW_SERVER_{name}"], MLFLOW_PUBLIC_HOST=public).split(",")
            for name in ("ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS")
        )
        assert all(is_allowed_host_header(hosts, host) for host in (public, "mlflow:5000", "127.0.0.1:5000"))
        assert not is_allowed_host_header(hosts, "elsewhere.example.com")
        assert not should_block_cors_request(f"https://{public}", "POST", origins)
        assert should_block_cors_request("https://elsewhere.example.com", "POST", origins)


def every_variable_is_read_by_somebody(docker: Docker) -> None:
    from mlflow import environment_variables
    from mlflow.cli import server as mlflow_server
    from prefect.settings.base import PrefectBaseSettings
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings
    from prefect_redis.client import RedisMessagingSettings

    assert issubclass(RedisMessagingSettings, PrefectBaseSettings)
    known = OF_OTHERS | set(_get_settings_fields(Settings))
    known |= {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    known |= {name for name in dir(environment_variables) if name.startswith("MLFLOW_")}
    known |= {str(parameter.envvar) for parameter in mlflow_server.params if parameter.envvar}
    sources = [
        path for folder in ("stage1_core", "stage1_cli", "tasks") for path in (docker.root / folder).rglob("*.py")
    ]
    known |= set(re.findall(r'"(STAGE1_\w+)"', "\n".join(path.read_text() for path in sources)))
    used = {name for service in docker.services.values() for name in service.get("environment", {})}
    used |= {name for dockerfile in docker.dockerfiles for name in image_variables(dockerfile)}
    assert len(used) > 30
    assert used - known == set()


def every_command_exists(docker: Docker) -> None:
    commands = [service["command"] for service in docker.services.values() if "build" in service]
    commands += [command for dockerfile in docker.dockerfiles if (command := default_command(dockerfile))]
    assert len(commands) == 6
    for program, *words in commands:
        assert not unknown_words(program, words), [program, *words]
    for server, port in (("prefect", "4200"), ("mlflow", "5000")):
        words = docker.services[server]["command"]
        assert words[words.index("--port") + 1] == port
        assert docker.services[server]["ports"][0].endswith(f":{port}")
        assert f":{port}/" in docker.services[server]["healthcheck"]["test"][-1]


def unknown_words(program: str, words: list[str]) -> list[str]:
    """Subcommands and options that ``program`` does not have; the program itself where it is not installed with us."""
    import typer
    from mlflow.cli import cli as mlflow

    from stage1_cli.app import app

    if program == "prefect":
        return unknown_to_prefect(words)
    group = {"mlflow": mlflow, "stage1": typer.main.get_command(app)}.get(program)
    if group is None or words[0] not in group.commands:
        return [program, words[0]]
    known = {option for parameter in group.commands[words[0]].params for option in parameter.opts}
    return [word for word in words if word.startswith("--") and word not in known]


def unknown_to_prefect(words: list[str]) -> list[str]:
    from prefect.cli._app import _app

    names = [word for word in words[:2] if not word.startswith("--")]
    try:
        command = _app[names[0]][names[1]]
    except KeyError:
        return names
    known = {option for argument in command.assemble_argument_collection() for option in argument.names}
    return [word for word in words if word.startswith("--") and word not in known]


RULES: list[Callable[[Docker], None]] = [
    every_copied_file_is_in_the_build_context,
    the_context_has_no_secrets_and_no_records,
    the_worker_installs_all_packages_of_the_project,
    versions_are_those_of_the_constraints,
    images_of_others_have_whole_versions,
    nobody_is_root,
    containers_can_change_only_what_they_must,
    no_password_is_written_down,
    the_example_has_what_compose_asks_for,
    ports_are_published_on_the_loopback,
    only_servers_reach_the_databases,
    services_wait_for_what_they_need,
    a_worker_serves_each_pool_with_and_without_a_gpu,
    no_worker_has_a_variable_that_its_pool_overrules,
    workers_can_read_pictures_of_this_machine,
    a_proxy_can_stand_before_both_servers,
    every_variable_is_read_by_somebody,
    every_command_exists,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.replace("_", " "))
def test_it_holds_that(rule):
    rule(Docker(ROOT))


@pytest.mark.parametrize(
    ("rule", "file", "old", "new"),
    [
        (every_copied_file_is_in_the_build_context, WORKER, "COPY flows", "COPY streams"),
        (every_copied_file_is_in_the_build_context, ".dockerignore", "!deployments\n", ""),
        (the_context_has_no_secrets_and_no_records, ".dockerignore", "!docker/mlflow_auth.ini", "!docker"),
        (the_worker_installs_all_packages_of_the_project, WORKER, "COPY tasks tasks\n", ""),
        (versions_are_those_of_the_constraints, SERVER, "--constraint constraints.txt", ""),
        (versions_are_those_of_the_constraints, SERVER, " mlflow ", " mlflow==3.17.2 "),
        (images_of_others_have_whole_versions, COMPOSE, "redis:7.4.5-bookworm", "redis:latest"),
        (images_of_others_have_whole_versions, COMPOSE, "postgres:17.6-bookworm", "prefecthq/prefect:3.9.1"),
        (nobody_is_root, WORKER, "USER 1000:1000", "USER root"),
        (nobody_is_root, COMPOSE, 'user: "999:999"', 'user: "0:0"'),
        (containers_can_change_only_what_they_must, COMPOSE, "read_only: true", "read_only: false"),
        (containers_can_change_only_what_they_must, COMPOSE, '"workspace:/workspace"', '"/srv:/workspace"'),
        (no_password_is_written_down, COMPOSE, "stage1:${POSTGRES_PASSWORD}@", "stage1:hunter22@"),
        (no_password_is_written_down, COMPOSE, "$$REDISCLI_AUTH", "${REDIS_PASSWORD}"),
        (no_password_is_written_down, EXAMPLE, "STAGE1_PASSWORD=", "STAGE1_PASSWORD=changeme"),
        (the_example_has_what_compose_asks_for, EXAMPLE, "HF_TOKEN=\n", ""),
        (the_example_has_what_compose_asks_for, COMPOSE, "REDIS_PASSWORD:?fill in docker/.env", "REDIS_PASSWORD"),
        (ports_are_published_on_the_loopback, COMPOSE, '"127.0.0.1:${MLFLOW', '"${MLFLOW'),
        (only_servers_reach_the_databases, COMPOSE, "{internal: true}", "{internal: false}"),
        (services_wait_for_what_they_need, COMPOSE, "      redis: {condition: service_healthy}\n", ""),
        (services_wait_for_what_they_need, COMPOSE, "service_healthy", "service_started"),
        (containers_can_change_only_what_they_must, COMPOSE, ":/pictures:ro", ":/pictures"),
        (a_worker_serves_each_pool_with_and_without_a_gpu, COMPOSE, "--pool, gpu", "--pool, cpu"),
        (a_worker_serves_each_pool_with_and_without_a_gpu, COMPOSE, "worker-gpu:", "worker-gpu:\n    profiles: [gpu]"),
        (a_worker_serves_each_pool_with_and_without_a_gpu, WITH_GPU, "worker-gpu:", "worker-cpu:"),
        (no_worker_has_a_variable_that_its_pool_overrules, COMPOSE, "HF_TOKEN:", "STAGE1_DEVICE:"),
        (workers_can_read_pictures_of_this_machine, COMPOSE, "${PICTURES:-pictures}", "pictures"),
        (a_proxy_can_stand_before_both_servers, COMPOSE, "UI_API_URL: /api", "UI_API_URL: http://127.0.0.1:4200/api"),
        (a_proxy_can_stand_before_both_servers, COMPOSE, "127.0.0.1:*,${MLFLOW_PUBLIC_HOST:-localhost}", "127.0.0.1:*"),
        (a_proxy_can_stand_before_both_servers, COMPOSE, "https://${MLFLOW_PUBLIC_HOST:-localhost}", "https://localhost"),
        (every_variable_is_read_by_somebody, COMPOSE, "PREFECT_SERVER_DOCKET_URL", "PREFECT_DOCKET_ADDRESS"),
        (every_variable_is_read_by_somebody, COMPOSE, "MLFLOW_BACKEND_STORE_URI", "MLFLOW_BACKEND_URI"),
        (every_variable_is_read_by_somebody, WORKER, "STAGE1_ARTIFACTS", "STAGE1_WORKSPACE_FOLDER"),
        (every_command_exists, COMPOSE, "command: [stage1, deploy]", "command: [stage1, apply]"),
        (every_command_exists, COMPOSE, "--with-healthcheck", "--with-health"),
        (every_command_exists, COMPOSE, "mlflow, server", "mlflow, serve-all"),
        (every_command_exists, COMPOSE, "prefect, server, start", "prefect, server, begin"),
    ],
)  # fmt: skip
def test_a_copy_that_breaks_a_rule_is_found(tmp_path, rule, file, old, new):
    for name in (".dockerignore", "constraints.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("docker", "stage1_core", "stage1_cli", "tasks", "flows", "deployments"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / file).read_text()
    assert old in text
    rule(Docker(tmp_path))
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(AssertionError):
        rule(Docker(tmp_path))
