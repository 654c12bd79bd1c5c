"""Bodies and answers of accounts, sessions, passwords and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, EmailStr, Field, SecretStr, model_validator

from auto_insurance.identity.schemas import (
    AnyText,
    ApiKey,
    ApiScope,
    Input,
    IssuedApiKey,
    NewApiKey,
    NewPassword,
    Role,
    Session,
    Username,
)

DriverLink = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", examples=["DRV001"])]
Email = Annotated[EmailStr, Field(max_length=254)]
Roles = Annotated[frozenset[Role], Field(max_length=len(Role))]


class SessionView(BaseModel):
    """A session of the caller's. ``last_used_at`` is when its tokens were renewed last."""

    session_id: UUID
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    method: str = Field(description="How it was opened: password or oidc.")
    client: str | None = Field(description="What the program that signed in calls itself.")
    current: bool = Field(description="Whether the request came by it.")

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> SessionView:
        """Return the view of a session."""
        return cls(
            session_id=session.session_id,
            created_at=session.created_at,
            expires_at=session.expires_at,
            last_used_at=session.last_used_at,
            method=session.method,
            client=session.client,
            current=session.session_id == current,
        )


class SessionsOut(BaseModel):
    """The caller's open sessions, the one used last first; at most 100."""

    items: list[SessionView]


class SessionsEnded(BaseModel):
    """How many sessions ended."""

    ended: int = Field(ge=0)


class PasswordChange(Input):
    """The current password and the new one."""

    current_password: Annotated[SecretStr, Field(min_length=1, max_length=256)]
    new_password: NewPassword


class ResetRequest(Input):
    """Whose password is to be set anew: a username or an e-mail address."""

    login: Annotated[AnyText, Field(min_length=1, max_length=254, examples=["driver0001"])]


class ResetRequested(BaseModel):
    """Always the same, whether the account exists or not."""

    status: str = "requested"


class ResetConfirm(Input):
    """The token of a link, and the new password."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=128)]
    new_password: NewPassword


class PasswordSet(BaseModel):
    """A password was set. ``sessions_ended`` counts the other sessions that it ended, where the caller may know."""

    status: str = "password_set"
    sessions_ended: int | None = None


class ResetLinkOut(BaseModel):
    """A link for the account's owner; it is shown this once."""

    url: Annotated[str, Field(repr=False)]
    expires_at: datetime


class ApiKeyIn(Input):
    """An API key to make."""

    name: Annotated[AnyText, Field(min_length=1, max_length=64, examples=["claims system"])]
    scopes: Annotated[list[ApiScope], Field(min_length=1, max_length=len(ApiScope), examples=[["read:claims"]])]
    expires_in_days: Annotated[int, Field(ge=1, le=730, description="Days that it is good for.")] = 365

    def order(self) -> NewApiKey:
        """Return what is wanted, each scope once."""
        return NewApiKey(name=self.name, scopes=tuple(dict.fromkeys(self.scopes)), expires_in_days=self.expires_in_days)


class ApiKeyView(BaseModel):
    """What is known of an API key; never the key. ``last_used_at`` is right to minutes."""

    key_id: UUID
    user_id: UUID
    name: str
    prefix: str = Field(description="How the key begins.")
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyView:
        """Return the view of a key."""
        return cls(
            key_id=key.key_id,
            user_id=key.user_id,
            name=key.name,
            prefix=key.prefix,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class ApiKeyIssued(ApiKeyView):
    """A fresh API key; the key is shown this once."""

    key: Annotated[str, Field(repr=False, description="Send it as `Authorization: Bearer` or `X-API-Key`.")]

    @classmethod
    def issued(cls, issued: IssuedApiKey) -> ApiKeyIssued:
        """Return the view of a fresh key."""
        return cls(key=issued.key.get_secret_value(), **ApiKeyView.of(issued.facts).model_dump())


class UserCreate(Input):
    """An account to make. Without a password its owner sets one by a link; an integration (`service`) never has one."""

    username: Username
    email: Email | None = None
    roles: Roles = frozenset()
    driver_id: DriverLink | None = None
    password: NewPassword | None = None

    @model_validator(mode="after")
    def _fit(self) -> UserCreate:
        if Role.SERVICE in self.roles and (len(self.roles) > 1 or self.password is not None):
            raise ValueError("an integration has the role service alone and no password")
        return self


class UserPatch(Input):
    """What is to change of an account; what is not sent stays."""

    email: Email | None = None
    roles: Roles | None = None
    driver_id: DriverLink | None = None
    is_active: bool | None = None

    @model_validator(mode="after")
    def _fit(self) -> UserPatch:
        if self.roles is not None and Role.SERVICE in self.roles and len(self.roles) > 1:
            raise ValueError("an integration has the role service alone")
        return self

    def changes(self) -> dict[str, object]:
        """Return the fields that were sent; null clears e-mail address and driver, and means nothing elsewhere."""
        sent = self.model_dump(exclude_unset=True, mode="python")
        return {name: value for name, value in sent.items() if value is not None or name in {"email", "driver_id"}}
