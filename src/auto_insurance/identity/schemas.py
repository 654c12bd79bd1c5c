"""Forms in which other packages and HTTP clients see users, sessions and keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, SecretStr


class Role(StrEnum):
    """What an account is allowed to be; ``policy`` says what that means."""

    DRIVER = "driver"
    AGENT = "agent"
    """Sells and serves: customers, quotes, policies."""
    UNDERWRITER = "underwriter"
    """Judges risks: scores, miles, prices, policies and claims, but not where somebody was."""
    ACTUARY = "actuary"
    """Answers for models and rating plans; sees the book."""
    AUDITOR = "auditor"
    """Reads everything and writes nothing."""
    SERVICE = "service"
    """An integration: an account that acts by API keys only, each with scopes."""
    ADMIN = "admin"


class ApiScope(StrEnum):
    """What an API key is good for; ``policy`` and ``permissions`` say what that means."""

    READ_DRIVERS = "read:drivers"
    READ_TRIPS = "read:trips"
    READ_LOCATIONS = "read:locations"
    READ_RISK = "read:risk"
    READ_PRICING = "read:pricing"
    READ_POLICIES = "read:policies"
    WRITE_POLICIES = "write:policies"
    READ_CLAIMS = "read:claims"
    WRITE_CLAIMS = "write:claims"
    WRITE_WEBHOOKS = "write:webhooks"
    IMPORT = "import"


class Scope(StrEnum):
    """What a device key is good for."""

    INGEST = "ingest"
    """Send live events."""
    IMPORT = "import"
    """Send events of any age."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request: a person by a session, or an API key of somebody's.

    ``scopes`` is None for a session. A key does what its owner's roles and its own scopes both allow.
    """

    user_id: UUID
    username: str
    roles: frozenset[str]
    driver_id: str | None = None
    session_id: UUID | None = None
    key_id: UUID | None = None
    scopes: frozenset[str] | None = None

    @property
    def is_key(self) -> bool:
        """Return whether an API key speaks, not a person."""
        return self.scopes is not None

    @property
    def is_admin(self) -> bool:
        """Return whether this is a person who administers the system."""
        return Role.ADMIN in self.roles and not self.is_key


class DevicePrincipal(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends telemetry: a device by its key, or a driver by the own token (then ``device_id`` is None).

    ``driver_id`` is None for a key: whose device it is depends on each event's time, see ``drivers``.
    """

    device_id: str | None
    driver_id: str | None
    scopes: frozenset[str]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account, without its password hash."""

    user_id: UUID
    username: str
    email: str | None
    roles: frozenset[str]
    driver_id: str | None
    is_active: bool
    created_at: datetime


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key to make."""

    name: str
    scopes: tuple[ApiScope, ...]
    expires_in_days: int


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """An account to create; its password travels apart."""

    username: str
    email: str | None = None
    roles: frozenset[Role] = frozenset()
    driver_id: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is open. ``last_used_at`` is when its tokens were renewed last."""

    session_id: UUID
    created_at: datetime
    expires_at: datetime
    method: str
    client: str | None
    last_used_at: datetime | None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an API key. ``prefix`` is how it begins; ``last_used_at`` is right to minutes."""

    key_id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: frozenset[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class IssuedApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh API key. ``key`` exists only here and is never stored."""

    key: SecretStr
    facts: ApiKey


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh device key. ``key`` exists only here and is never stored."""

    key_id: UUID
    device_id: str
    scopes: frozenset[str]
    key: SecretStr


class DeviceKeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device's newest valid key. ``last_used_at`` is right to the hour."""

    device_id: str
    scopes: frozenset[str]
    created_at: datetime
    last_used_at: datetime | None


class DeviceKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one key of a device. ``prefix`` is how it begins; ``ends_at`` may lie ahead."""

    key_id: UUID
    prefix: str | None
    scopes: frozenset[str]
    created_at: datetime
    last_used_at: datetime | None
    ends_at: datetime | None


class UserSort(StrEnum):
    """Orders of the list of accounts; a minus means descending."""

    USERNAME = "username"
    USERNAME_DESC = "-username"
    CREATED = "created_at"
    CREATED_DESC = "-created_at"


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts staff want to see: text of name or address, or a driver's id; a role; open or closed."""

    search: str = ""
    role: Role | None = None
    active: bool | None = None
    sort: UserSort = UserSort.CREATED_DESC


def known_roles(names: Iterable[str]) -> frozenset[str]:
    """Return those names that are roles of this version."""
    return frozenset(Role) & frozenset(names)


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{2,63}$"
Username = Annotated[str, Field(pattern=USERNAME_PATTERN, examples=["driver0001"])]
NewPassword = Annotated[
    SecretStr, Field(min_length=12, max_length=256, description="12 characters or more, none of the commonest.")
]
AnyText = Annotated[str, AfterValidator(_no_nul)]


class Input(BaseModel):
    """A body that we read: unknown fields are refused, and what was sent is not repeated."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LoginRequest(Input):
    """Username and password."""

    username: Annotated[AnyText, Field(min_length=1, max_length=254, examples=["driver0001"])]
    password: Annotated[SecretStr, Field(min_length=1, max_length=256)]


class RefreshRequest(Input):
    """A refresh token: to be rotated, or to end its session."""

    refresh_token: Annotated[SecretStr, Field(min_length=1, max_length=256)]


class RegisterRequest(Input):
    """A new account without a role; staff link it to a driver."""

    username: Username
    email: Annotated[EmailStr, Field(max_length=254)]
    password: NewPassword


class TokenResponse(BaseModel):
    """An access token, the refresh token that follows it, and the seconds that the access token lives."""

    access_token: Annotated[str, Field(repr=False)]
    refresh_token: Annotated[str, Field(repr=False)]
    token_type: str = "bearer"  # noqa: S105
    expires_in: int


class LogoutResponse(BaseModel):
    """Always the same, whatever the token was."""

    status: str = "logged_out"


class UserView(BaseModel):
    """An account as its owner and staff see it."""

    user_id: UUID
    username: str
    email: str | None
    driver_id: str | None
    roles: list[str]
    is_active: bool
    is_admin: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> UserView:
        """Return the view of an account."""
        return cls(
            user_id=user.user_id,
            username=user.username,
            email=user.email,
            driver_id=user.driver_id,
            roles=sorted(user.roles),
            is_active=user.is_active,
            is_admin=Role.ADMIN in user.roles,
            created_at=user.created_at,
        )
