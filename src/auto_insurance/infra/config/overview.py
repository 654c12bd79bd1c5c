"""Settings as rows for people: value, source, meaning; secrets masked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from auto_insurance.infra.config.loading import MASK
from auto_insurance.infra.config.tree import LEAVES, Settings, value_of


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is in force."""

    name: str
    value: str
    source: str
    help: str
    theme: str


def describe(settings: Settings) -> list[SettingRow]:
    """Return one row per setting, in the order of the tree; secrets are masked."""
    rows = []
    for leaf in LEAVES:
        source = settings.sources.get(leaf.env)
        if source is None:
            source = "default (production)" if settings.is_production and leaf.production is not None else "default"
        rows.append(
            SettingRow(leaf.env, shown(value_of(settings, leaf)), source, leaf.field.description or "", leaf.theme)
        )
    return rows


def shown(value: Any) -> str:
    """Return a value as people would write it in the environment; of a secret address all but the password."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return _masked(value.get_secret_value())
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _masked(secret: str) -> str:
    try:
        parts = urlsplit(secret)
        host = parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    if not parts.scheme or not host:
        return MASK
    user = f"{parts.username}:{MASK}@" if parts.password else f"{parts.username}@" if parts.username else ""
    # A query may hold a password too.
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, "", ""))
