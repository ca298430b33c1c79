"""Dockerfiles and the compose file, read as far as the tests need."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

INTERPOLATED = re.compile(r"(?<!\$)\$\{(\w+)")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::?[-?]([^}]*))?\}")


@dataclass(frozen=True)
class Docker:
    """The repository, or a changed copy of what of it concerns images."""

    root: Path

    @property
    def dockerfiles(self) -> list[Path]:
        return sorted((self.root / "docker").glob("*.Dockerfile"))

    @property
    def compose(self) -> dict[str, Any]:
        return yaml.safe_load(self.compose_text)

    @property
    def compose_text(self) -> str:
        return (self.root / "docker" / "compose.yaml").read_text()

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        return self.compose["services"]

    @property
    def with_gpu(self) -> dict[str, dict[str, Any]]:
        """What the second compose file adds to services."""
        return yaml.safe_load((self.root / "docker" / "compose.gpu.yaml").read_text())["services"]

    @property
    def example(self) -> dict[str, str]:
        lines = (self.root / "docker" / ".env.example").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    @property
    def interpolated(self) -> set[str]:
        return set(INTERPOLATED.findall(self.compose_text))

    @property
    def pins(self) -> dict[str, str]:
        lines = (self.root / "constraints.txt").read_text().splitlines()
        return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}

    def ignored(self, path: str) -> bool:
        """Whether the build context lacks ``path``: the last pattern that matches it, or a folder above it, decides."""
        parts = path.split("/")
        above = ["/".join(parts[: length + 1]) for length in range(len(parts))]
        out = False
        for line in (self.root / ".dockerignore").read_text().splitlines():
            if line and not line.startswith("#"):
                pattern = line.removeprefix("!")
                candidates = parts if pattern.startswith("**/") else above
                if any(fnmatch.fnmatch(each, pattern.removeprefix("**/")) for each in candidates):
                    out = not line.startswith("!")
        return out


def filled(text: str, **values: str) -> str:
    """``text`` with ``values`` for variables, and the defaults of the others."""
    return VARIABLE.sub(lambda found: values.get(found[1]) or found[2] or "", text)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, the rest) of each line, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word
    ]


def copied(dockerfile: Path) -> list[str]:
    """Sources of each COPY that come from the build context."""
    rests = [rest.split() for word, rest in instructions(dockerfile) if word == "COPY" and "--from" not in rest]
    return [source for words in rests for source in words[:-1]]


def image_variables(dockerfile: Path) -> dict[str, str]:
    """What ENV sets."""
    words = [word for name, rest in instructions(dockerfile) if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def default_command(dockerfile: Path) -> list[str]:
    return next((json.loads(rest) for word, rest in instructions(dockerfile) if word == "CMD"), [])


def base_images(dockerfile: Path) -> list[str]:
    """Images that stages start from, with the defaults of arguments filled in."""
    arguments = dict(rest.split("=", 1) for word, rest in instructions(dockerfile) if word == "ARG" and "=" in rest)
    starts = [rest.split()[0] for word, rest in instructions(dockerfile) if word == "FROM"]
    return [re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], start) for start in starts]
