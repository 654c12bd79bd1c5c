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
    """Too many failed sign-ins from one address for one account."""

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

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[FieldError("password", "weak_password", message)])


class CredentialsUnavailable(AppError):
    """Credentials can't be checked now: the database is away or too many passwords wait to be hashed."""

    kind = ErrorKind.UNAVAILABLE
    code = "credentials_unavailable"

    def __init__(self, retry_after_s: int = 2) -> None:
        super().__init__("Credentials can't be checked right now; try again.", retry_after_s=retry_after_s)
