"""Base of every configuration and every artifact that is written as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.errors import Stage1Error


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown fields and NaN, and knows its own digest."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    def digest(self) -> str:
        """Hex sha256 of the canonical JSON form: equal values have equal digests on every machine."""
        return digest_of_bytes(canonical_json(self.model_dump(mode="json")))

    def to_json(self) -> str:
        """Indented JSON with sorted keys and a final newline; the same value always gives the same bytes."""
        return canonical_json(self.model_dump(mode="json"), indent=2).decode() + "\n"

    @classmethod
    def from_json_file(cls, path: Path) -> Self:
        """Read and validate ``path``. Raises `Stage1Error` naming the file and the first thing that is wrong."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise Stage1Error(f"{path} does not exist; give the path of a {cls.__name__} JSON file") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the top level"
            raise Stage1Error(f"{path} is not a valid {cls.__name__}: at {where}: {first['msg']}") from error
