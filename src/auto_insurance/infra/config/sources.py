"""Where values come from: the environment first, then ``.env.<environment>``; a secret also from a mounted file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_settings.sources.providers.dotenv import read_env_file

from auto_insurance.infra.config.groups import PREFIX, Environment
from auto_insurance.infra.config.tree import BY_ENV, LEAVES, Leaf

MAX_SECRET_BYTES = 64 * 1024
_FILE = "_FILE"
_FOREIGN = frozenset({"AUTO_INSURANCE_TEST_DATA"})
"""Variables with our prefix that are not the product's: the test suite's."""
_NAMES = tuple(BY_ENV) + tuple(f"{leaf.env}{_FILE}" for leaf in LEAVES if leaf.secret)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(slots=True)
class Resolved:
    """Raw values by environment name, with their sources, and what was found wrong on the way."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def resolve(env: Mapping[str, str] | None, env_dir: Path | None, overrides: Mapping[str, Any]) -> Resolved:
    """Collect the raw values of all layers. Never raises: what is wrong is in ``problems``."""
    env = os.environ if env is None else env  # noqa: TID251 - this package is where the environment is read
    found = Resolved()
    for name in overrides:
        if name not in BY_ENV:
            found.problems.append(Problem(name, f"there is no such setting{_did_you_mean(name)}"))
    _apply(found, {name: value for name, value in overrides.items() if name in BY_ENV}, "code")
    _read_layer(found, env, "environment", env_dir)
    _unknown(found, env, "environment")
    file = (env_dir or Path()) / f".env.{_environment(found)}"
    if file.is_file():
        layer = {name: value for name, value in _env_file(found, file).items() if value is not None}
        if "ENVIRONMENT" in layer and layer["ENVIRONMENT"] != _environment(found):
            found.problems.append(Problem("ENVIRONMENT", f"{file.name} is read for the environment in its name only"))
        _read_layer(found, layer, file.name, env_dir)
        _unknown(found, layer, file.name, every_name=True)
    return found


def _environment(found: Resolved) -> str:
    return str(found.values.get("ENVIRONMENT", Environment.DEVELOPMENT.value))


def _env_file(found: Resolved, file: Path) -> Mapping[str, str | None]:
    try:
        return read_env_file(file, encoding="utf-8", case_sensitive=True)
    except (OSError, UnicodeDecodeError) as error:
        found.problems.append(Problem(file.name, f"can't be read: {type(error).__name__}"))
        return {}


def _apply(found: Resolved, values: Mapping[str, Any], source: str) -> None:
    for name, value in values.items():
        found.values[name] = value
        found.sources[name] = source


def _read_layer(found: Resolved, layer: Mapping[str, str], source: str, env_dir: Path | None) -> None:
    """Take from a layer what no layer above it gave. An empty value counts as not given."""
    for leaf in LEAVES:
        given = {key: layer[key] for key in _spellings(leaf) if layer.get(key)}
        if not given or leaf.env in found.values:
            continue
        if len(set(given.values())) > 1 or (len(given) > 1 and any(key.endswith(_FILE) for key in given)):
            found.problems.append(Problem(leaf.env, f"given more than once: {' and '.join(given)}; keep one"))
            continue
        key, value = next(iter(given.items()))
        if leaf.secret and key.endswith(_FILE):
            path = Path(value) if env_dir is None else env_dir / value
            secret = _secret_file(found, key, path)
            if secret is not None:
                _apply(found, {leaf.env: secret}, f"file {path}")
        else:
            _apply(found, {leaf.env: value}, source if key == leaf.env else f"{source} ({key})")


def _spellings(leaf: Leaf) -> tuple[str, ...]:
    names = (leaf.env, f"{PREFIX}{leaf.env}")
    return (*names, *(f"{name}{_FILE}" for name in names)) if leaf.secret else names


def _secret_file(found: Resolved, key: str, path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        value = raw.decode("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        found.problems.append(Problem(key, f"{path} can't be read: {getattr(error, 'strerror', None) or 'not text'}"))
        return None
    if not value or len(raw) > MAX_SECRET_BYTES:
        found.problems.append(Problem(key, f"{path} is {'longer than 64 KiB' if value else 'empty'}"))
        return None
    return value


def _unknown(found: Resolved, layer: Mapping[str, str], source: str, *, every_name: bool = False) -> None:
    """Name variables with our prefix that are no settings, and those that look like a misspelt one.

    In our own env file the second is an error as well; in the environment, which is not ours alone, it is a warning.
    """
    for key in sorted(layer):
        if key in _FOREIGN or key in _NAMES:
            continue
        if key.upper().startswith(PREFIX):
            bare = key[len(PREFIX) :]
            if not key.startswith(PREFIX) or bare not in _NAMES:
                message = f"there is no such setting ({source}){_did_you_mean(bare)}"
                found.problems.append(Problem(key, message))
        elif _near(key):
            message = f"looks like a misspelt setting ({source}){_did_you_mean(key)}"
            if every_name:
                found.problems.append(Problem(key, message))
            else:
                found.warnings.append(f"{key}: {message}")


def _near(key: str) -> list[str]:
    return get_close_matches(key.upper(), _NAMES, n=1, cutoff=0.85) if "_" in key or key.upper() in _NAMES else []


def _did_you_mean(name: str) -> str:
    near = get_close_matches(name.upper(), _NAMES, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
