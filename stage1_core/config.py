"""Base of every configuration and every artifact that is written as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.errors import Stage1Error


def _model_title(model: type) -> str:
    """``kind`` where there is one, as in the files: a form made of the schema calls an alternative by its title."""
    fields: dict[str, FieldInfo] = getattr(model, "__pydantic_fields__", {})
    return str(fields["kind"].default) if "kind" in fields else model.__name__


def _field_title(name: str, _: object) -> str:
    """The field's own name, also where its type is a model: a form would else be headed by the name of the class."""
    return name.replace("_", " ").capitalize()


def _kind_is_no_free_text(schema: dict[str, Any]) -> None:
    """``kind`` as a choice of one: forms show a lone constant as a text field, in which one may type anything."""
    kind = schema.get("properties", {}).get("kind", {})
    if "const" in kind:
        kind |= {"enum": [kind["const"]], "description": "Which of the alternatives this is."}


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown fields and NaN, and knows its own digest."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        model_title_generator=_model_title,
        field_title_generator=_field_title,
        json_schema_extra=_kind_is_no_free_text,
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
