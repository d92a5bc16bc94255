"""Reading a JSON body strictly: one decoder, and errors that name the path.

The decoder (msgspec) refuses NaN, lone surrogates, invalid UTF-8 and numbers out of range by
itself; nesting too deep for it is an error like any other.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError

T = TypeVar("T")

_MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]*)`")
_AT: Final = re.compile(r"(?P<what>.*?) - at `(?P<path>[^`]*)`$", re.DOTALL)


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises:
        LingmaError: the body is not JSON, not an object, or nested too deeply.
    """
    try:
        decoded = msgspec.json.decode(body)
    except RecursionError:
        raise invalid("the request body is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise invalid(f"the request body is not valid UTF-8 at byte {error.start}") from None
    except msgspec.DecodeError as error:
        raise invalid(f"the request body is not valid JSON: {_first_lower(str(error))}") from None
    if not isinstance(decoded, dict):
        raise invalid("the request body must be a JSON object")
    return decoded


def convert(value: Any, shape: type[T], at: str = "") -> T:
    """Return `value`, which stands at `at` in the body, as `shape`.

    Fields that a msgspec struct does not know are ignored here.

    Raises:
        LingmaError: with the whole path of the first field of a wrong type.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        found = _AT.fullmatch(str(error))
        what, path = (found["what"], found["path"]) if found else (str(error), "$")
        if missing := _MISSING.search(what):
            path = f"{path}.{missing['name']}"
        whole = f"{at}{path.removeprefix('$')}".removeprefix(".")
        raise invalid(_first_lower(what), param=whole) from None
    except RecursionError:
        raise invalid("the request body is nested too deeply", param=at) from None


def extras(value: dict[str, Any], shape: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of `value` that `shape` does not know."""
    known = set(shape.__struct_encode_fields__)
    return {key: item for key, item in value.items() if key not in known}


def invalid(message: str, *, param: str | None = None) -> LingmaError:
    """Return the error for a request that cannot be understood; `param` is the path."""
    where = f" at `{param}`" if param else ""
    return LingmaError(ErrorKind.INVALID_REQUEST, f"{message}{where}", param=param or None)


def _first_lower(sentence: str) -> str:
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
