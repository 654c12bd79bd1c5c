"""What can go wrong with webhooks."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput, Unavailable


class WebhookNotFound(AppError):
    """No such endpoint."""

    kind = ErrorKind.NOT_FOUND
    code = "webhook_not_found"

    def __init__(self) -> None:
        super().__init__("No such webhook.")


class DeliveryNotFound(AppError):
    """The endpoint has no such delivery, or it is older than deliveries are kept."""

    kind = ErrorKind.NOT_FOUND
    code = "webhook_delivery_not_found"

    def __init__(self) -> None:
        super().__init__("The webhook has no such delivery.")


class WebhookUrlRefused(InvalidInput):
    """An address that nothing is sent to; the detail says why."""

    code = "webhook_url_refused"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[FieldError("body.url", "refused", message)])


class TooManyWebhooks(AppError):
    """There are as many endpoints as may be."""

    kind = ErrorKind.CONFLICT
    code = "too_many_webhooks"

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} webhooks already; delete one or raise WEBHOOK_MAX_ENDPOINTS.")


class WebhookInactive(AppError):
    """Nothing is sent to an endpoint that is switched off."""

    kind = ErrorKind.CONFLICT
    code = "webhook_inactive"

    def __init__(self) -> None:
        super().__init__("The webhook is switched off; set `active` first.")


class DeliveryPending(AppError):
    """A delivery that is still tried can't be replayed."""

    kind = ErrorKind.CONFLICT
    code = "webhook_delivery_pending"

    def __init__(self) -> None:
        super().__init__("The delivery is still being tried.")


class WebhookKeyMissing(Unavailable):
    """There is no key to protect signing secrets with, or not the one that this endpoint's was made with."""

    code = "webhook_key_missing"

    def __init__(self, detail: str = "WEBHOOK_SECRET_KEY is not set.") -> None:
        super().__init__(detail)
