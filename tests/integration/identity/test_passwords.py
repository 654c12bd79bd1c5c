"""Changing a password, and setting a new one by a link that a real mail server took."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from aiosmtpd.smtp import SMTP
from sqlalchemy import text

from auto_insurance.identity.errors import BadCredentials, InvalidRefreshToken
from auto_insurance.identity.service import PasswordService
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.mail import FileMailer, Mail, MailFailed, NoMailer, SmtpMailer, SmtpOptions, Tls
from auto_insurance.kernel import clock
from tests.support.people import People, make_people

NEW = "correct horse battery"


class Sink:
    """Keeps the mails that it is handed; refuses the first ``refuse``."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refuse = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse:
            self.refuse -= 1
            return "451 come again"
        self.mails.append(envelope.content)
        return "250 OK"

    def token(self) -> str:
        body = message_from_bytes(self.mails[-1]).get_payload(decode=True)
        assert isinstance(body, bytes)
        found = re.search(r"#token=([\w-]+)", body.decode())
        assert found is not None
        return found.group(1)


@pytest.fixture
async def sink() -> AsyncIterator[tuple[Sink, SmtpMailer]]:
    kept = Sink()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept), "127.0.0.1", 0)
    mailer = SmtpMailer(SmtpOptions("127.0.0.1", server.sockets[0].getsockname()[1], tls=Tls.NONE, timeout_s=20))
    yield kept, mailer
    mailer.close()
    server.close()


@pytest.fixture
async def mailed(db: Database, sink: tuple[Sink, SmtpMailer]) -> AsyncIterator[People]:
    made = make_people(db, mailer=sink[1])
    await made.seed()
    async with db.begin() as uow:
        await uow.conn.execute(text("UPDATE users SET email = 'one@example.com' WHERE username = 'driver0001'"))
    yield made
    made.passwords.close()


async def ask(people: People, login: str) -> httpx.Response:
    async with people.client() as client:
        return await client.post("/auth/password-reset", json={"login": login})


async def confirm(people: People, token: str, password: str = NEW) -> httpx.Response:
    async with people.client() as client:
        return await client.post("/auth/password-reset/confirm", json={"token": token, "new_password": password})


async def test_a_link_sets_a_new_password_once_and_ends_all_sessions(
    mailed: People, sink: tuple[Sink, SmtpMailer]
) -> None:
    before = await mailed.auth.login("driver0001", "password0001", address="a")
    desk, stop = mailed.get(PasswordService), asyncio.Event()
    running = asyncio.create_task(desk.run(stop))
    sink[0].refuse = 1
    known, unknown = await ask(mailed, "ONE@example.com"), await ask(mailed, "nobody")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (202, {"status": "requested"})
    async with asyncio.timeout(30):
        while not sink[0].mails:
            await asyncio.sleep(0.01)
    stop.set()
    await running
    token = sink[0].token()
    async with mailed.db.read() as uow:
        stored = (await uow.conn.execute(text("SELECT * FROM password_resets"))).all()
    assert len(stored) == 2, "the one that the server refused, and the one that it took"
    assert token not in str(stored)
    weak = await confirm(mailed, token, "Password2024!")
    assert (weak.status_code, weak.json()["errors"][0]["field"]) == (422, "new_password")
    assert (await confirm(mailed, token)).status_code == 200
    again = await confirm(mailed, token, "another good password")
    assert (again.status_code, again.json()["code"]) == (422, "invalid_reset_token")
    with pytest.raises(InvalidRefreshToken):
        await mailed.auth.refresh(before.refresh_token)
    with pytest.raises(BadCredentials):
        await mailed.token("driver0001", "password0001")
    await mailed.token("driver0001", NEW)
    async with mailed.db.read() as uow:
        left = await uow.conn.execute(text("SELECT count(*) FROM password_resets"))
    assert left.scalar_one() == 0, "using one ends the others"


async def test_of_two_uses_at_once_one_counts(mailed: People, sink: tuple[Sink, SmtpMailer]) -> None:
    assert await mailed.get(PasswordService).deliver("driver0001")
    token = sink[0].token()
    both = await asyncio.gather(confirm(mailed, token, NEW), confirm(mailed, token, NEW + "!"))
    assert sorted(answer.status_code for answer in both) == [200, 422]


async def test_links_expire_and_are_few(mailed: People, sink: tuple[Sink, SmtpMailer]) -> None:
    desk, at = mailed.get(PasswordService), clock.now()
    with clock.use_clock(clock.FrozenClock(at)) as frozen:
        assert isinstance(frozen, clock.FrozenClock)
        sent = [await desk.deliver("driver0001") for _ in range(5)]
        assert sent == [True, True, True, False, False]
        token = sink[0].token()
        frozen.set(at + timedelta(minutes=30, seconds=1))
        assert (await confirm(mailed, token)).status_code == 422
        async with mailed.db.begin() as uow:
            await mailed.auth.purge_expired(uow)
            left = await uow.conn.execute(
                text("SELECT count(*) FROM password_resets WHERE expires_at < :at"), {"at": at}
            )
        assert left.scalar_one() == 0
        assert not await desk.deliver("driver0002"), "without an address there is no mail"


async def test_asking_too_often_waits(mailed: People) -> None:
    answers = [(await ask(mailed, "nobody")).status_code for _ in range(11)]
    assert answers == [202] * 10 + [429]


async def test_a_change_asks_for_the_current_password_and_ends_the_other_sessions(people: People) -> None:
    here = await people.auth.login("driver0001", "password0001", address="a")
    there = await people.auth.login("driver0001", "password0001", address="a")
    async with people.client(here.access_token) as client:
        wrong = await client.post("/auth/password", json={"current_password": "x", "new_password": NEW})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "current_password")
        for weak in ("short", "Password2024!", "driver0001!!"):
            body = {"current_password": "password0001", "new_password": weak}
            refused = await client.post("/auth/password", json=body)
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"].endswith("new_password")
        changed = await client.post("/auth/password", json={"current_password": "password0001", "new_password": NEW})
        assert changed.json() == {"status": "password_set", "sessions_ended": 1}
        assert (await client.get("/auth/me")).status_code == 200
    with pytest.raises(InvalidRefreshToken):
        await people.auth.refresh(there.refresh_token)
    await people.auth.refresh(here.refresh_token)
    await people.token("driver0001", NEW)


async def test_guessing_the_current_password_is_limited_as_a_sign_in_is(people: People) -> None:
    async with people.client(await people.token("driver0001", "password0001")) as client:
        body = {"current_password": "guess", "new_password": NEW}
        answers = [(await client.post("/auth/password", json=body)).status_code for _ in range(7)]
    assert answers[:5] == [422] * 5
    assert answers[5:] == [429] * 2


async def test_mails_go_to_files_of_the_owner_and_never_to_the_log(tmp_path: Path) -> None:
    mail = Mail("one@example.com", "Set a new password", "https://x/#token=secret-token")
    with structlog.testing.capture_logs() as logged:
        await FileMailer(tmp_path / "mail").send(mail)
        with pytest.raises(MailFailed):
            await NoMailer().send(mail)
    [path] = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"secret-token" in path.read_bytes()
    assert "secret-token" not in str(logged) + repr(mail)
    assert "one@example.com" not in str(logged) + repr(mail)


async def test_a_mail_server_that_does_not_answer_is_an_error_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mailer = SmtpMailer(SmtpOptions("127.0.0.1", port, tls=Tls.NONE, timeout_s=0.2))
    with pytest.raises(MailFailed):
        await mailer.send(Mail("one@example.com", "s", "t"))
    with pytest.raises(MailFailed):
        await mailer.send(Mail("one@example.com\nBcc: all@example.com", "s", "t"))
    server.close()
    mailer.close()
