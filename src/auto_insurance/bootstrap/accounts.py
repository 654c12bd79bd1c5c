"""Accounts composed: sign-in, passwords, keys, the mail server and the identity provider."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from auto_insurance.identity.schemas import Role
from auto_insurance.identity.service import (
    AuthService,
    GuardOptions,
    OidcOptions,
    OidcProvider,
    OidcService,
    Passwords,
    PasswordService,
    ProviderOptions,
    ResetOptions,
    SessionOptions,
    TokenOptions,
    UserAdmin,
    UserService,
)
from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.groups import Environment
from auto_insurance.infra.config.rules import role_map
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.infra.mail import FileMailer, Mailer, NoMailer, SmtpMailer, SmtpOptions, Tls

CALLBACK = "/api/v1/auth/oidc/callback"


def compose(
    settings: Settings, database: Database, passwords: Passwords, users: UserService, limiter: RateLimiter
) -> Sequence[object]:
    """Return the services of accounts over the two that others share."""
    auth = AuthService(database, passwords, _tokens(settings), _sessions(settings), limiter, guard=_guard(settings))
    resets = ResetOptions(
        holds=timedelta(minutes=settings.accounts.reset_minutes), public_url=settings.accounts.public_url
    )
    return (
        auth,
        auth.api_keys,
        PasswordService(database, passwords, auth, mailer(settings), resets, limiter),
        UserAdmin(users, auth),
        OidcService(database, auth, _provider(settings), _oidc(settings), limiter),
    )


def mailer(settings: Settings) -> Mailer:
    """Return what sends mail: the server of the settings; without one, files in development and nothing elsewhere."""
    mail = settings.mail
    if mail.host is None:
        if settings.environment in {Environment.DEVELOPMENT, Environment.TEST}:
            return FileMailer(settings.data_dir.absolute() / "mail", mail.sender)
        return NoMailer()
    return SmtpMailer(
        SmtpOptions(
            host=mail.host,
            port=mail.port,
            sender=mail.sender,
            username=mail.username,
            password=None if mail.password is None else mail.password.get_secret_value(),
            tls=Tls(mail.tls),
            timeout_s=mail.timeout_s,
        )
    )


def _guard(settings: Settings) -> GuardOptions:
    login, usual = settings.login, GuardOptions()
    return GuardOptions(
        pair=(login.failures_per_minute, usual.pair[1]),
        account=((login.failures_per_account, usual.account[0][1]), (3 * login.failures_per_account, 3_600.0)),
        address=(login.failures_per_address, usual.address[1]),
    )


def _provider(settings: Settings) -> OidcProvider | None:
    oidc = settings.oidc
    if oidc.issuer is None or oidc.client_id is None:
        return None
    return OidcProvider(
        ProviderOptions(
            issuer=oidc.issuer,
            client_id=oidc.client_id,
            client_secret=None if oidc.client_secret is None else oidc.client_secret.get_secret_value(),
            redirect_url=oidc.redirect_url or settings.accounts.public_url.rstrip("/") + CALLBACK,
            scope=oidc.scope,
            timeout_s=oidc.timeout_s,
        )
    )


def _oidc(settings: Settings) -> OidcOptions:
    roles = {group: Role(role) for group, role in role_map(settings.oidc.role_map).items()}
    return OidcOptions(sign_up=settings.oidc.sign_up, role_claim=settings.oidc.role_claim, roles=roles)


def _sessions(settings: Settings) -> SessionOptions:
    return SessionOptions(refresh_ttl=timedelta(days=settings.jwt.refresh_days))


def _tokens(settings: Settings) -> TokenOptions:
    return TokenOptions(
        secret_key=settings.jwt.secret_key.get_secret_value(),
        algorithm=settings.jwt.algorithm,
        access_ttl=timedelta(minutes=settings.jwt.expire_minutes),
    )
