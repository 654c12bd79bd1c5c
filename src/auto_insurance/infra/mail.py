"""Mail that the product sends: by SMTP, into files where nobody has an SMTP server, or not at all."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from auto_insurance.kernel import ids
from auto_insurance.kernel.errors import AppError, ErrorKind

log = structlog.get_logger(__name__)


class MailFailed(AppError):
    """The mail server did not take a mail."""

    kind = ErrorKind.UNAVAILABLE
    code = "mail_failed"

    def __init__(self) -> None:
        super().__init__("The mail could not be sent right now; try again.", retry_after_s=30)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person. Its text may hold secrets."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises ``MailFailed``."""


class Tls(StrEnum):
    """How the connection to the mail server is secured."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """Where and how mail goes out. ``timeout_s`` holds for each step, twice of it for all of them."""

    host: str
    port: int = 587
    sender: str = "auto-insurance@localhost"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls.STARTTLS
    timeout_s: float = 10.0
    workers: int = 2


class SmtpMailer:
    """Sends by SMTP, on threads of its own: the standard library's client waits."""

    def __init__(self, options: SmtpOptions) -> None:
        self._options = options
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="smtp")

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the server. Raises ``MailFailed``."""
        work = asyncio.get_running_loop().run_in_executor(self._pool, partial(self._send, mail))
        try:
            await asyncio.wait_for(work, 2 * self._options.timeout_s)
        except (smtplib.SMTPException, OSError, ValueError, TimeoutError) as error:
            # Without the cause: a server's answer may quote addresses.
            log.warning("mail_failed", error=type(error).__name__)
            raise MailFailed from None

    def close(self) -> None:
        """Take no more mail; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, mail: Mail) -> None:
        options = self._options
        connect: Callable[[], smtplib.SMTP] = partial(
            smtplib.SMTP, options.host, options.port, timeout=options.timeout_s
        )
        if options.tls is Tls.TLS:
            connect = partial(
                smtplib.SMTP_SSL,
                options.host,
                options.port,
                timeout=options.timeout_s,
                context=ssl.create_default_context(),
            )
        with connect() as server:
            if options.tls is Tls.STARTTLS:
                server.starttls(context=ssl.create_default_context())
            if options.username is not None:
                server.login(options.username, options.password or "")
            server.send_message(as_message(mail, options.sender))


class FileMailer:
    """Writes each mail to a file that its owner alone may read: for development."""

    def __init__(self, folder: Path, sender: str = "auto-insurance@localhost") -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """Write the mail; the log names the file, never what is in it."""
        path = await asyncio.to_thread(self._write, mail)
        log.info("mail_written", path=str(path))

    def _write(self, mail: Mail) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{ids.new_uuid()}.eml"
        path.touch(mode=0o600)
        path.write_bytes(as_message(mail, self._sender).as_bytes())
        return path


class NoMailer:
    """Sends nothing and says so."""

    async def send(self, mail: Mail) -> None:
        """Drop the mail. Raises ``MailFailed``."""
        log.warning("mail_not_configured", hint="set SMTP_HOST")
        raise MailFailed


def as_message(mail: Mail, sender: str) -> EmailMessage:
    """Return a mail as it goes over the wire. Raises ``ValueError`` for an address or subject with a line break."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
