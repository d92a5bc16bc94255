"""OpenAI's own schema, to hold bodies and events against.

`tests/schemas/openai-openapi-subset.json` is a part of OpenAI's API document (version 2.3.0), with
its licence beside it.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

_DOCUMENT: Final = Path(__file__).parents[1] / "schemas" / "openai-openapi-subset.json"


@cache
def _validator(component: str) -> Draft202012Validator:
    document = json.loads(_DOCUMENT.read_text(encoding="utf-8"), object_hook=_nullable)
    if component not in document["components"]["schemas"]:
        raise KeyError(component)
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{component}"})


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Say `nullable`, a word of OpenAPI 3.0 that the document still uses, as 3.1 does."""
    if schema.get("nullable") is not True:
        return schema
    return {"anyOf": [{**schema, "nullable": False}, {"type": "null"}]}


def violations(component: str, value: Any) -> list[str]:
    """Return what is wrong with `value` as one of the document's components, empty when nothing."""
    errors = map(_likeliest, _validator(component).iter_errors(value))
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def _likeliest(error: ValidationError) -> ValidationError:
    """Return what is wrong in that branch of a union that has the value's `type`."""
    if not error.context:
        return error
    branches = groupby(error.context, key=lambda inner: inner.schema_path[0])
    first_errors = [next(errors) for _, errors in branches]
    return _likeliest(min(first_errors, key=lambda first: list(first.path) == ["type"]))
