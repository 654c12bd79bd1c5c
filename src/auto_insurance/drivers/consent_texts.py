"""The purposes and their texts: data in the package, versioned."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from auto_insurance.drivers.errors import InvalidConsentTexts
from auto_insurance.drivers.schemas import Purpose


class PurposeText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A purpose: what it is, what holds where nobody decided, and what is not done without it."""

    code: str
    version: int
    title: str
    text: str
    without: str
    basis: Literal["contract", "legitimate_interest", "consent"]
    granted: bool


class _File(msgspec.Struct, forbid_unknown_fields=True):
    purpose: list[PurposeText]


@cache
def purposes() -> dict[str, PurposeText]:
    """Return the shipped purposes by code, in their order. Raises ``InvalidConsentTexts``."""
    return parse_purposes((files("auto_insurance.drivers") / "data" / "consents.toml").read_text("utf-8"))


def parse_purposes(source: str) -> dict[str, PurposeText]:
    """Read purposes. Raises ``InvalidConsentTexts`` that names the fault."""
    try:
        found = msgspec.convert(tomllib.loads(source), _File).purpose
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidConsentTexts(f"The purposes cannot be read: {error}") from error
    known = {purpose.code: purpose for purpose in found}
    faults = [f"{purpose.code}: a default that nobody agreed to" for purpose in found if _presumed(purpose)]
    faults += [f"{purpose.code}: versions count from 1" for purpose in found if purpose.version < 1]
    faults += ["a purpose stands there twice"] if len(known) < len(found) else []
    faults += [f"{code}: processing asks for it" for code in Purpose if code not in known]
    if faults:
        raise InvalidConsentTexts("; ".join(faults))
    return known


def _presumed(purpose: PurposeText) -> bool:
    return purpose.granted and purpose.basis == "consent"
