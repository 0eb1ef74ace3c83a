"""Strict JSON for dataclasses: every key required, none unknown, no value of another type.

The reader is driven by the dataclasses' own annotations. Types that are no plain dataclass (layouts, heads, element
types) have an entry in `READERS` and `WRITERS`.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import reduce
from operator import or_
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from host.errors import PackageError
from ir.layouts import Layout, Plain, Words
from ir.records import HEADS, Head
from ir.types import DType

Reader = Callable[[Any, str], Any]


def dumps(value: Any) -> str:
    """Readable JSON with a fixed key order, so that equal manifests are equal bytes."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str, where: str) -> Any:
    """JSON without duplicate keys, NaN or infinity; PackageError otherwise."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{where}: no valid JSON ({error})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key '{key}' appears twice")
        found[key] = value
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"'{text}' is no number")


def encode(value: Any) -> Any:
    """Dataclasses, tuples and mappings -> what `json` writes."""
    special = WRITERS.get(type(value))
    if special:
        return special(value)
    if is_dataclass(value):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value


def decode(kind: Any, value: Any, where: str) -> Any:
    """JSON -> an instance of ``kind``; PackageError names the place (``where``), what is wrong and what is allowed."""
    if kind in READERS:
        return READERS[kind](value, where)
    origin = get_origin(kind)
    if origin in ORIGINS:
        return ORIGINS[origin](kind, value, where)
    return _record(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    names = [f.name for f in fields(kind)]
    check_keys(value, names, where)
    hints = get_type_hints(kind)
    try:
        return kind(**{name: decode(hints[name], value[name], f"{where}.{name}") for name in names})
    except ValueError as error:  # a dataclass that checks itself
        raise PackageError(f"{where}: {error}") from None


def check_keys(value: Any, names: list[str], where: str) -> None:
    """PackageError unless ``value`` is an object with exactly the keys ``names``."""
    if not isinstance(value, dict):
        raise PackageError(f"{where}: expected an object, found {_name(value)}")
    for key in value:
        if key not in names:
            raise PackageError(f"{where}: unknown key '{key}' (allowed: {', '.join(names)})")
    for name in names:
        if name not in value:
            raise PackageError(f"{where}: key '{name}' is missing")


def _name(value: Any) -> str:
    json_names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return json_names.get(type(value), f"the number {value}")


def _scalar(kind: type, name: str) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise PackageError(f"{where}: expected {name}, found {_name(value)}")
        return value

    return read


def _float(value: Any, where: str) -> float:
    if type(value) not in (int, float):
        raise PackageError(f"{where}: expected a number, found {_name(value)}")
    return float(value)


def _dtype(value: Any, where: str) -> DType:
    try:
        return DType.parse(_scalar(str, "a text")(value, where))
    except ValueError as error:
        raise PackageError(f"{where}: {error}") from None


def _tagged(table: Mapping[str, Any]) -> Reader:
    """Objects whose ``kind`` says which dataclass they are."""

    def read(value: Any, where: str) -> Any:
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in table:
            raise PackageError(f"{where}: expected an object with 'kind' one of {', '.join(table)}")
        return _record(table[kind], {key: item for key, item in value.items() if key != "kind"}, where)

    return read


def _tag(table: Mapping[str, Any]) -> Callable[[Any], Any]:
    kinds = {class_: kind for kind, class_ in table.items()}
    return lambda value: {"kind": kinds[type(value)], **{f.name: encode(getattr(value, f.name)) for f in fields(value)}}


def _tuple(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise PackageError(f"{where}: expected a list, found {_name(value)}")
    item_kind = get_args(kind)[0]
    return tuple(decode(item_kind, item, f"{where}[{index}]") for index, item in enumerate(value))


def _mapping(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise PackageError(f"{where}: expected an object, found {_name(value)}")
    item_kind = get_args(kind)[1]
    return {key: decode(item_kind, item, f"{where}.{key}") for key, item in value.items()}


def _literal(kind: Any, value: Any, where: str) -> Any:
    if value not in get_args(kind):
        raise PackageError(f"{where}: '{value}' is not allowed (allowed: {', '.join(map(str, get_args(kind)))})")
    return value


def _optional(kind: Any, value: Any, where: str) -> Any:
    inner = reduce(or_, (argument for argument in get_args(kind) if argument is not type(None)))
    return None if value is None else decode(inner, value, where)


LAYOUTS: Mapping[str, Any] = {"plain": Plain, "words": Words}

READERS: Mapping[Any, Reader] = {
    str: _scalar(str, "a text"),
    int: _scalar(int, "an integer"),
    bool: _scalar(bool, "true or false"),
    float: _float,
    DType: _dtype,
    Layout: _tagged(LAYOUTS),
    Head: _tagged(HEADS),
}
ORIGINS: Mapping[Any, Callable[[Any, Any, str], Any]] = {
    tuple: _tuple,
    Mapping: _mapping,
    Literal: _literal,
    Union: _optional,
    types.UnionType: _optional,
}
WRITERS: Mapping[type, Callable[[Any], Any]] = {
    DType: str,
    **{class_: _tag(LAYOUTS) for class_ in LAYOUTS.values()},
    **{class_: _tag(HEADS) for class_ in HEADS.values()},
}
