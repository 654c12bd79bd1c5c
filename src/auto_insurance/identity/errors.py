"""What can go wrong with users, sessions and keys. No sentence tells whether an account exists."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput


class NotAuthenticated(AppError):
    """No credentials came along."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "not_authenticated"

    def __init__(self, detail: str = "Sign in to use this.") -> None:
        super().__init__(detail)


class BadCredentials(AppError):
    """Unknown user, wrong password or disabled account: always the same sentence."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "bad_credentials"

    def __init__(self) -> None:
        super().__init__("Username or password is wrong.")


class InvalidToken(AppError):
    """An access token that is malformed, forged, expired or of a session that has ended."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "invalid_token"

    def __init__(self, detail: str = "The access token is not valid.") -> None:
        super().__init__(detail)


class ExpiredToken(InvalidToken):
    """An access token past its time; refreshing helps."""

    code = "token_expired"

    def __init__(self) -> None:
        super().__init__("The access token has expired.")


class InvalidRefreshToken(AppError):
    """A refresh token that is unknown, expired, used before or of a session that has ended."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "invalid_refresh_token"

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid; sign in again.")


class InvalidDeviceKey(AppError):
    """A device key that is unknown or revoked."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "invalid_device_key"

    def __init__(self) -> None:
        super().__init__("The device key is not valid.")


class InvalidApiKey(AppError):
    """An API key that is unknown, expired or revoked, or whose account is closed."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__("The API key is not valid.")


class ApiKeyNotFound(AppError):
    """No such API key, or another account's."""

    kind = ErrorKind.NOT_FOUND
    code = "api_key_not_found"

    def __init__(self) -> None:
        super().__init__("No such API key.")


class TooManyApiKeys(AppError):
    """The account has as many valid keys as it may have."""

    kind = ErrorKind.CONFLICT
    code = "too_many_api_keys"

    def __init__(self, limit: int) -> None:
        super().__init__(f"An account has at most {limit} valid API keys; revoke one.")


class ScopeNotAllowed(InvalidInput):
    """A scope that the roles of the key's account leave without effect."""

    code = "scope_not_allowed"

    def __init__(self, number: int, scope: str) -> None:
        message = f"The account's roles allow nothing of {scope}."
        super().__init__(message, errors=[FieldError(f"scopes.{number}", "scope_not_allowed", message)])


class SessionNotFound(AppError):
    """No such session of the caller's."""

    kind = ErrorKind.NOT_FOUND
    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("No such session.")


class UserNotFound(AppError):
    """No such account; for staff only."""

    kind = ErrorKind.NOT_FOUND
    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("No such account.")


class LastAdmin(AppError):
    """The last active administrator would lose the role or the account."""

    kind = ErrorKind.CONFLICT
    code = "last_admin"

    def __init__(self) -> None:
        super().__init__("This is the last active administrator; make another one first.")


class WrongPassword(InvalidInput):
    """The current password that a change asks for is wrong."""

    code = "wrong_password"

    def __init__(self) -> None:
        message = "The current password is wrong."
        super().__init__(message, errors=[FieldError("current_password", "wrong_password", message)])


class InvalidResetToken(InvalidInput):
    """A token to set a password with that is unknown, expired or used."""

    code = "invalid_reset_token"

    def __init__(self) -> None:
        message = "The link is not valid any more; ask for a new one."
        super().__init__(message, errors=[FieldError("token", "invalid_reset_token", message)])


class OidcDisabled(AppError):
    """No identity provider is configured."""

    kind = ErrorKind.NOT_FOUND
    code = "oidc_disabled"

    def __init__(self) -> None:
        super().__init__("Sign-in by an identity provider is not configured.")


class OidcRefused(AppError):
    """The identity provider's answer can't be trusted, or it says no. The reason is in the log only."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "oidc_refused"

    def __init__(self) -> None:
        super().__init__("The sign-in by the identity provider failed; start again.")


class OidcUnavailable(AppError):
    """The identity provider does not answer."""

    kind = ErrorKind.UNAVAILABLE
    code = "oidc_unavailable"

    def __init__(self) -> None:
        super().__init__("The identity provider does not answer right now; try again.", retry_after_s=5)


class NotAllowed(AppError):
    """Signed in, but this is for others."""

    kind = ErrorKind.FORBIDDEN
    code = "not_allowed"

    def __init__(self, detail: str = "Your account may not do this.") -> None:
        super().__init__(detail)


class DriverNotFound(AppError):
    """No such driver, or one that is none of the caller's business: the two answer alike."""

    kind = ErrorKind.NOT_FOUND
    code = "driver_not_found"

    def __init__(self) -> None:
        super().__init__("No such driver.")


class TooManyAttempts(AppError):
    """Too many failed sign-ins: from one address for one account, from an address, or for an account."""

    kind = ErrorKind.RATE_LIMITED
    code = "too_many_attempts"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many failed attempts; wait a moment.", retry_after_s=retry_after_s)


class UserExists(AppError):
    """Username or e-mail address is taken; ``errors`` names the field."""

    kind = ErrorKind.CONFLICT
    code = "user_exists"

    def __init__(self, field: str) -> None:
        message = f"This {field} is taken."
        super().__init__(message, errors=[FieldError(field, "taken", message)])


class WeakPassword(InvalidInput):
    """A password that breaks a rule."""

    code = "weak_password"

    def __init__(self, message: str, field: str = "password") -> None:
        super().__init__(message, errors=[FieldError(field, "weak_password", message)])


class CredentialsUnavailable(AppError):
    """Credentials can't be checked now: the database is away or too many passwords wait to be hashed."""

    kind = ErrorKind.UNAVAILABLE
    code = "credentials_unavailable"

    def __init__(self, retry_after_s: int = 2) -> None:
        super().__init__("Credentials can't be checked right now; try again.", retry_after_s=retry_after_s)
