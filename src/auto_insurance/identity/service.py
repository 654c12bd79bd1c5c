"""The door of identity: its use cases, one file each."""

from __future__ import annotations

from auto_insurance.identity.auth import AuthService, SessionOptions
from auto_insurance.identity.device_keys import DeviceKeyService, KeyOptions
from auto_insurance.identity.passwords import HashOptions, Passwords
from auto_insurance.identity.tokens import TokenOptions
from auto_insurance.identity.users import UserService

__all__ = [
    "AuthService",
    "DeviceKeyService",
    "HashOptions",
    "KeyOptions",
    "Passwords",
    "SessionOptions",
    "TokenOptions",
    "UserService",
]
