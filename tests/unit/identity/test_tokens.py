from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest

from auto_insurance.identity.errors import ExpiredToken, InvalidToken
from auto_insurance.identity.schemas import IssuedKey, User
from auto_insurance.identity.tokens import AccessTokens, TokenOptions, digest, new_device_key, new_refresh_token
from auto_insurance.kernel.clock import FrozenClock, use_clock

SECRET = "a-secret-for-tests-of-32-bytes-and-more"
OPTIONS = TokenOptions(secret_key=SECRET)
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = User(
    user_id=uuid4(),
    username="driver0001",
    email=None,
    roles=frozenset({"driver"}),
    driver_id="DRV001",
    is_active=True,
    created_at=AT,
)


def test_a_token_says_who_and_until_when() -> None:
    session_id = uuid4()
    with use_clock(FrozenClock(AT)):
        token = AccessTokens(OPTIONS).issue(USER, session_id)
        principal = AccessTokens(OPTIONS).read(token)
    assert (principal.user_id, principal.session_id, principal.driver_id) == (USER.user_id, session_id, "DRV001")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "name", "roles", "driver_id"}


def test_a_token_ends_on_time() -> None:
    tokens = AccessTokens(OPTIONS)
    clock = FrozenClock(AT)
    with use_clock(clock):
        token = tokens.issue(USER, uuid4())
        clock.advance(timedelta(minutes=30) - timedelta(seconds=1))
        tokens.read(token)
        clock.advance(timedelta(seconds=1))
        with pytest.raises(ExpiredToken):
            tokens.read(token)


def _claims(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "iss": OPTIONS.issuer,
        "aud": OPTIONS.audience,
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "jti": "x",
        "iat": 1,
        "exp": 4_000_000_000,
        "name": "n",
        "roles": [],
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def test_the_claims_of_these_tests_are_good() -> None:
    AccessTokens(OPTIONS).read(jwt.encode(_claims(), SECRET))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        jwt.encode(_claims(), "another-secret-of-at-least-32-bytes!!"),
        jwt.encode(_claims(), "", algorithm="none"),
        jwt.encode(_claims(), SECRET + "0" * 64, algorithm="HS512"),
        *(jwt.encode(_claims(**{name: None}), SECRET) for name in ("iss", "aud", "sub", "sid", "jti", "exp", "roles")),
        jwt.encode(_claims(iss="other"), SECRET),
        jwt.encode(_claims(aud="other"), SECRET),
        jwt.encode(_claims(sub="nobody"), SECRET),
        jwt.encode(_claims(roles=7), SECRET),
    ],
)
def test_anything_else_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        AccessTokens(OPTIONS).read(token)
    assert caught.value.__cause__ is None
    assert not token or token not in str(caught.value)


def test_secrets_are_random_and_do_not_show() -> None:
    assert SECRET not in repr(OPTIONS)
    key, token = new_device_key(), new_refresh_token()
    assert key.startswith("aik_")
    assert len(key) == 4 + 43
    assert len(token) == 43
    assert len({new_device_key() for _ in range(100)}) == 100
    assert len(digest("\ud800")) == 32
    issued = IssuedKey(key_id=uuid4(), device_id="DEV001", scopes=frozenset(), key=key)  # type: ignore[arg-type]
    assert issued.device_id == "DEV001"
