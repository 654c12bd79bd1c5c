"""The door of identity: its use cases, one file each."""

from __future__ import annotations

from auto_insurance.identity.api_keys import ApiKeyOptions, ApiKeyService
from auto_insurance.identity.auth import AuthService
from auto_insurance.identity.credentials import PasswordService, ResetOptions
from auto_insurance.identity.device_keys import DeviceKeyService, KeyOptions
from auto_insurance.identity.guard import GuardOptions
from auto_insurance.identity.oidc import OidcOptions, OidcService
from auto_insurance.identity.oidc_provider import OidcProvider, ProviderOptions
from auto_insurance.identity.passwords import HashOptions, Passwords
from auto_insurance.identity.sessions import SessionOptions
from auto_insurance.identity.tokens import TokenOptions
from auto_insurance.identity.user_admin import UserAdmin
from auto_insurance.identity.users import UserService

__all__ = [
    "ApiKeyOptions",
    "ApiKeyService",
    "AuthService",
    "DeviceKeyService",
    "GuardOptions",
    "HashOptions",
    "KeyOptions",
    "OidcOptions",
    "OidcProvider",
    "OidcService",
    "PasswordService",
    "Passwords",
    "ProviderOptions",
    "ResetOptions",
    "SessionOptions",
    "TokenOptions",
    "UserAdmin",
    "UserService",
]
