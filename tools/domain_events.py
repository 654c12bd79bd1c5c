"""The reference page of the domain events, made from ``contracts`` and from where they are published."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import msgspec

import auto_insurance
from auto_insurance import contracts
from auto_insurance.contracts import topics
from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.events import Envelope

SOURCE = Path(auto_insurance.__file__).parent
_WITHOUT_EVENTS = {"topics", "telematics"}


class Undescribed(Exception):
    """A module of ``contracts`` is not in the form that this page is made from; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The events of one topic."""

    topic: str
    version: int
    types: tuple[str, ...]
    payload: type[msgspec.Struct]


@cache
def all_contracts() -> tuple[Contract, ...]:
    """Return the events of every module of ``contracts``. Raises :class:`Undescribed`.

    Kept: the code that they are read from is all of the package, and does not change while a process runs.
    """
    versions = published_versions(SOURCE)
    names = [info.name for info in pkgutil.iter_modules(contracts.__path__) if info.name not in _WITHOUT_EVENTS]
    found = [_contract(import_module(f"{contracts.__name__}.{name}"), versions) for name in names]
    return tuple(sorted(found, key=lambda contract: contract.topic))


def _contract(module: ModuleType, versions: dict[str, int]) -> Contract:
    types = tuple(value for name, value in vars(module).items() if name.isupper() and isinstance(value, str))
    structs = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    ]
    parts = {part for struct in structs for hint in get_type_hints(struct).values() for part in _parts(hint)}
    payloads = [one for one in structs if one not in parts and not any(base in structs for base in one.__mro__[1:])]
    named = [spec.name for spec in topics.ALL if f"``{spec.name}``" in (module.__doc__ or "")]
    if len(payloads) != 1 or not types or len(named) != 1:
        raise Undescribed(f"{module.__name__} needs one payload, names of types, and its topic in the docstring")
    if named[0] not in versions:
        raise Undescribed(f"nothing publishes on {named[0]} with a literal version")
    return Contract(named[0], versions[named[0]], types, payloads[0])


def _parts(hint: Any) -> Iterator[Any]:
    """Yield a field's type and the types within it: what a payload holds is no payload of its own."""
    yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


def published_versions(source: Path) -> dict[str, int]:
    """Return topic -> version of the events that the code publishes on it."""
    found: dict[str, int] = {}
    for path in sorted(source.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "new_event(" not in text:  # parsing the whole package takes seconds
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                names, versions = set(_topics(function)), set(_versions(function))
                if len(names) == len(versions) == 1:
                    found[getattr(topics, names.pop())] = versions.pop()
    return found


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name in {getattr(node.func, "id", None), getattr(node.func, "attr", None)}:
            yield node


def _topics(function: ast.AST) -> Iterator[str]:
    for call in _calls(function, "publish"):
        if call.args and isinstance(call.args[0], ast.Attribute):
            yield call.args[0].attr


def _versions(function: ast.AST) -> Iterator[int]:
    for call in _calls(function, "new_event"):
        for keyword in call.keywords:
            if keyword.arg == "version" and isinstance(keyword.value, ast.Constant):
                yield int(str(keyword.value.value))


def render_markdown() -> str:
    """Return the page ``docs/reference/events.md``."""
    specs = {spec.name: spec for spec in topics.ALL}
    lines = [
        "# Topics and domain events",
        "",
        "Generated from `auto_insurance.contracts`. A domain event travels in an envelope, as JSON; `version` rises",
        "with each incompatible change of `data`. Delivery is at least once: note the `id` and skip what you have",
        "seen. Events of one key stay in order.",
        "",
        "| topic | key | partitions | kept at least |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{s.name}` | `{s.key}` | {s.partitions} | {s.retention_days} days |" for s in topics.ALL]
    lines += ["", "## Envelope", "", *_paragraph(Envelope), "", *_fields(Envelope)]
    for contract in all_contracts():
        key = specs[contract.topic].key
        types = ", ".join(f"`{type_}`" for type_ in contract.types)
        lines += ["", f"## Topic `{contract.topic}`", "", f"{types}; version {contract.version}, keyed by `{key}`."]
        lines += ["", *_paragraph(contract.payload), "", *_fields(contract.payload)]
    lines += ["", f"## Topic `{topics.TELEMATICS_EVENTS}`: driving events", "", *_paragraph(TelemetryEvent)]
    lines += ["", "The value of a record is one event or an array of them, without an envelope, at most"]
    lines += [f"{topics.MAX_RECORD_BYTES // 1024} KiB.", "", *_fields(TelemetryEvent)]
    return "\n".join(lines) + "\n"


def _paragraph(struct: type) -> list[str]:
    return inspect.cleandoc(struct.__doc__ or "").replace("``", "`").splitlines()


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    hints, notes = get_type_hints(struct), _notes(struct)
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    return [
        "| field | type | required | |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {_type(hints[name])} | {'yes' if name in required else '-'} | {notes.get(name, '')} |"
            for name in struct.__struct_fields__
        ),
    ]


def _type(hint: Any) -> str:
    text = getattr(hint, "__name__", "") if isinstance(hint, type) else str(hint)
    names = {
        "datetime": "timestamp (UTC)",
        "str": "text",
        "float": "number",
        "int": "whole number",
        "bool": "yes or no",
    }
    names |= {"bytes": "bytes, base64", "dict": "object", "dict[str, typing.Any]": "object", "NoneType": "null"}
    words = text.replace("datetime.", "").replace("uuid.", "").split(" | ")
    return " or ".join(names.get(word, {"None": "null"}.get(word, word)) for word in words)


def _notes(struct: type) -> dict[str, str]:
    """Return field -> the text under it in the class."""
    body = [node for tree in ast.parse(inspect.getsource(struct)).body for node in getattr(tree, "body", ())]
    found: dict[str, str] = {}
    for field, note in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
            name = getattr(field.target, "id", "")
            found[name] = " ".join(str(note.value.value).replace("``", "`").split())
    return found
