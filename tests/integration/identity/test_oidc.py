"""Sign-in by an identity provider: a real one on 127.0.0.1, honest and cheating."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from auto_insurance.identity.schemas import Role
from auto_insurance.identity.service import OidcOptions, OidcProvider, ProviderOptions, UserAdmin
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, Provider, new_key, running_provider
from tests.support.people import People, make_people

REDIRECT = "http://test/api/v1/auth/oidc/callback"
ROLES = OidcOptions(role_claim="realm.groups", roles={"uw": Role.UNDERWRITER, "boss": Role.ADMIN})


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    with running_provider() as found:
        yield found


@pytest.fixture
def provider(server: Provider) -> Provider:
    """The provider, honest again."""
    fresh = Provider()
    for name in ("claims", "overrides", "algorithm", "signing_key", "discovered_issuer"):
        setattr(server, name, getattr(fresh, name))
    return server


@pytest.fixture
async def people(db: Database, provider: Provider) -> AsyncIterator[People]:
    made = make_people(db, oidc=speaking_to(provider), oidc_options=ROLES)
    await made.seed()
    yield made
    made.passwords.close()


def speaking_to(provider: Provider, **overrides: Any) -> OidcProvider:
    return OidcProvider(
        ProviderOptions(
            **{
                "issuer": provider.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_url": REDIRECT,
                "timeout_s": 20.0,
                **overrides,
            }
        )
    )


async def come_back(client: httpx.AsyncClient) -> dict[str, str]:
    """Leave for the provider, sign in there; return what it sends back."""
    left = await client.get("/auth/oidc/start")
    assert left.status_code == 303
    assert "HttpOnly" in left.headers["Set-Cookie"]
    async with httpx.AsyncClient(trust_env=False) as browser:
        back = await browser.get(left.headers["Location"])
    return {name: values[0] for name, values in parse_qs(urlsplit(back.headers["Location"]).query).items()}


async def sign_in(people: People) -> httpx.Response:
    async with people.client() as client:
        return await client.get("/auth/oidc/callback", params=await come_back(client))


async def test_off_is_not_found(db: Database) -> None:
    off = make_people(db)
    async with off.client() as client:
        assert (await client.get("/auth/oidc/start")).status_code == 404
        assert (await client.get("/auth/oidc/callback", params={"state": "s", "code": "c"})).status_code == 404
    off.passwords.close()


async def test_a_person_signs_in_and_is_the_same_account_next_time(people: People, provider: Provider) -> None:
    provider.claims = {
        "sub": "p-1",
        "preferred_username": "ursula",
        "email": "u@example.com",
        "email_verified": True,
        "realm": {"groups": ["uw", "others"]},
    }
    first = await sign_in(people)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-store"
    async with people.client(first.json()["access_token"]) as client:
        me = (await client.get("/auth/me")).json()
        assert (me["username"], me["email"], me["roles"]) == ("ursula", "u@example.com", ["underwriter"])
        [session] = (await client.get("/auth/sessions")).json()["items"]
        assert session["method"] == "oidc"
    provider.claims = {"sub": "p-1", "preferred_username": "renamed", "realm": {"groups": ["boss"]}}
    async with people.client((await sign_in(people)).json()["access_token"]) as client:
        again = (await client.get("/auth/me")).json()
    assert (again["user_id"], again["username"], again["roles"]) == (me["user_id"], "ursula", ["admin"])
    provider.claims = {"sub": "p-1"}
    async with people.client((await sign_in(people)).json()["access_token"]) as client:
        assert (await client.get("/auth/me")).json()["roles"] == [], "who left the group has lost the role"
    async with people.client() as client:
        refused = await client.post("/auth/login", json={"username": "ursula", "password": "!never"})
    assert refused.status_code == 401


@pytest.mark.parametrize("verified", [True, False, "true", None])
async def test_an_address_never_opens_somebody_elses_account(
    people: People, provider: Provider, verified: object
) -> None:
    async with people.db.begin() as uow:
        await uow.conn.execute(text("UPDATE users SET email = 'boss@example.com' WHERE username = 'admin'"))
    provider.claims = {
        "sub": "p-2",
        "preferred_username": "admin",
        "email": "boss@example.com",
        "email_verified": verified,
    }
    async with people.client((await sign_in(people)).json()["access_token"]) as client:
        me = (await client.get("/auth/me")).json()
    assert me["username"].startswith("admin-")
    assert (me["email"], me["roles"]) == (None, [])


async def test_an_address_that_is_not_verified_is_not_taken(people: People, provider: Provider) -> None:
    provider.claims = {"sub": "p-3", "email": "new@example.com", "email_verified": False}
    async with people.client((await sign_in(people)).json()["access_token"]) as client:
        assert (await client.get("/auth/me")).json()["email"] is None


NOW = int(time.time())
CHEATS: dict[str, dict[str, Any]] = {
    "wrong nonce": {"overrides": {"nonce": "another"}},
    "no nonce": {"overrides": {"nonce": None}},
    "wrong audience": {"overrides": {"aud": "another-client"}},
    "for two, not for us": {"overrides": {"aud": [CLIENT_ID, "another-client"]}},
    "authorized party": {"overrides": {"azp": "another-client"}},
    "wrong issuer": {"overrides": {"iss": "https://evil.test"}},
    "expired": {"overrides": {"exp": NOW - 3600}},
    "no expiry": {"overrides": {"exp": None}},
    "from the future": {"overrides": {"iat": NOW + 86_400}},
    "no subject": {"overrides": {"sub": None}},
    "alg none": {"algorithm": "none", "signing_key": ""},
    "secret shared": {"algorithm": "HS256", "signing_key": CLIENT_SECRET.ljust(32, "x")},
    "another key": {"signing_key": new_key()},
}


@pytest.mark.parametrize("cheat", CHEATS)
async def test_a_token_that_is_not_right_is_refused(people: People, provider: Provider, cheat: str) -> None:
    for name, value in CHEATS[cheat].items():
        setattr(provider, name, value)
    refused = await sign_in(people)
    assert (refused.status_code, refused.json()["code"]) == (401, "oidc_refused")
    async with people.db.read() as uow:
        assert (await uow.conn.execute(text("SELECT count(*) FROM oidc_identities"))).scalar_one() == 0


async def test_a_state_counts_once_for_the_browser_that_left_and_for_a_while(
    people: People, provider: Provider
) -> None:
    async with people.client() as client, people.client() as victim:
        back = await come_back(client)
        stranger = await victim.get("/auth/oidc/callback", params=back)
        assert stranger.status_code == 401, "another browser"
        victim.cookies.set("oidc_state", "something else")
        assert (await victim.get("/auth/oidc/callback", params=back)).status_code == 401
        cookies = {"oidc_state": back["state"]}
        wrong = await client.get("/auth/oidc/callback", params={**back, "iss": "https://evil.test"})
        assert wrong.status_code == 401, "another provider"
        header = {"Cookie": f"oidc_state={cookies['oidc_state']}"}
        assert (await client.get("/auth/oidc/callback", params=back, headers=header)).status_code == 200
        replayed = await client.get("/auth/oidc/callback", params=back, headers=header)
        assert (replayed.status_code, replayed.json()["code"]) == (401, "oidc_refused")
        denied = await client.get("/auth/oidc/callback", params={"state": "s", "error": "access_denied"})
        assert denied.status_code == 401
        at = clock.now()
        late = await come_back(client)
        with clock.use_clock(clock.FrozenClock(at + timedelta(minutes=11))):
            assert (await client.get("/auth/oidc/callback", params=late)).status_code == 401


async def test_closed_accounts_stay_out_and_strangers_where_nobody_signs_up(people: People, provider: Provider) -> None:
    async with people.client((await sign_in(people)).json()["access_token"]) as client:
        me = (await client.get("/auth/me")).json()["user_id"]
    async with people.db.begin() as uow:
        await people.get(UserAdmin).close(uow, me)
    assert (await sign_in(people)).status_code == 401
    strict = make_people(people.db, oidc=speaking_to(provider), oidc_options=OidcOptions(sign_up=False))
    provider.claims = {"sub": "somebody new"}
    assert (await sign_in(strict)).status_code == 401
    strict.passwords.close()


async def test_keys_are_kept_and_read_again_when_one_is_new(
    people: People, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = provider.key_reads
    for _ in range(3):
        assert (await sign_in(people)).status_code == 200
    assert provider.key_reads == before + 1
    monkeypatch.setattr("auto_insurance.identity.oidc_provider.KEYS_AGAIN_S", 0.0)
    provider.key, provider.kid = new_key(), "k2"
    assert (await sign_in(people)).status_code == 200
    assert provider.key_reads == before + 2


async def test_a_provider_that_is_away_or_another_is_told_apart(db: Database, provider: Provider) -> None:
    away = make_people(db, oidc=speaking_to(provider, issuer="http://127.0.0.1:9", timeout_s=1.0))
    provider.discovered_issuer = "https://evil.test"
    other = make_people(db, oidc=speaking_to(provider))
    async with away.client() as client:
        assert (await client.get("/auth/oidc/start")).status_code == 503
    async with other.client() as client:
        assert (await client.get("/auth/oidc/start")).status_code == 401
    away.passwords.close()
    other.passwords.close()
