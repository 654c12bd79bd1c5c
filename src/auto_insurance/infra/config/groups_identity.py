"""Settings of accounts: links, mail, sign-in by an identity provider."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from auto_insurance.infra.config.groups import Group, setting


class AccountSettings(Group):
    """Accounts and their secrets."""

    public_url: str = setting(
        "PUBLIC_URL",
        "http://127.0.0.1:8000",
        "Where people reach the product; mails link to it.",
        pattern=r"^https?://",
    )
    reset_minutes: int = setting(
        "PASSWORD_RESET_MINUTES", 30, "Minutes that a link to set a new password holds.", ge=5, le=1440
    )


class MailSettings(Group):
    """The mail server. Without one, development writes mails to DATA_DIR/mail and production sends none."""

    host: str | None = setting("SMTP_HOST", None, "Mail server; without one no mail goes out.")
    port: int = setting("SMTP_PORT", 587, "Its port.", ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = setting("SMTP_TLS", "starttls", "How the connection is secured.")
    username: str | None = setting("SMTP_USERNAME", None, "Account at the mail server, if it asks for one.")
    password: SecretStr | None = setting("SMTP_PASSWORD", None, "Password of that account.")
    sender: str = setting(
        "SMTP_FROM", "auto-insurance@localhost", "Address that mails come from.", pattern=r"^\S+@\S+$"
    )
    timeout_s: float = setting("SMTP_TIMEOUT_S", 10.0, "Seconds that the server may take for a step.", gt=0, le=60)


class OidcSettings(Group):
    """Sign-in by an OpenID Connect identity provider; off without OIDC_ISSUER."""

    issuer: str | None = setting("OIDC_ISSUER", None, "Issuer's address; its discovery document is read from there.")
    client_id: str | None = setting("OIDC_CLIENT_ID", None, "The product's id at the provider.")
    client_secret: SecretStr | None = setting("OIDC_CLIENT_SECRET", None, "Its secret; none for a public client.")
    redirect_url: str | None = setting(
        "OIDC_REDIRECT_URL", None, "Where the provider sends people back; by default PUBLIC_URL's callback route."
    )
    scope: str = setting("OIDC_SCOPE", "openid email profile", "What is asked of the provider.", pattern=r"\bopenid\b")
    sign_up: bool = setting("OIDC_SIGN_UP", True, "Make an account for somebody who comes from the provider first.")
    role_claim: str | None = setting(
        "OIDC_ROLE_CLAIM", None, "Claim with the person's groups, dotted where nested; without it roles are set here."
    )
    role_map: str = setting(
        "OIDC_ROLE_MAP",
        "",
        "Which group brings which role: group=role, by comma. The roles of an account follow it at each sign-in.",
        max_length=4096,
    )
    timeout_s: float = setting("OIDC_TIMEOUT_S", 5.0, "Seconds that the provider may take to answer.", gt=0, le=30)
