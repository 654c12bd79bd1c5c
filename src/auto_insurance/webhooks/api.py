"""Routes of webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, status

from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.webhooks.schemas import (
    DeliveryOut,
    DeliveryState,
    EventTypes,
    Replayed,
    RotateIn,
    WebhookIn,
    WebhookOut,
    WebhookPatch,
    WebhookSecret,
)
from auto_insurance.webhooks.service import WebhookService
from auto_insurance.webhooks.views import delivery_out, event_types, webhook_out, with_secret

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
Webhooks = Annotated[WebhookService, service(WebhookService)]
Staff = Annotated[Principal, staff(Permission.MANAGE_WEBHOOKS)]
Reader = Annotated[Principal, staff(Permission.VIEW_WEBHOOKS)]
EndpointId = Annotated[UUID, Path(description="An endpoint's id.")]
DeliveryId = Annotated[UUID, Path(description="A delivery's id.")]
ONE = problems(401, 403, 404, 422)


@router.get("/event-types", responses=problems(401, 403), summary="Events that can be sent")
async def list_event_types(admin: Reader) -> EventTypes:
    """Return all events that an endpoint may ask for, with the schema of their data."""
    return event_types()


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 409, 422, 503),
    summary="Add an endpoint",
)
async def create(body: WebhookIn, admin: Staff, webhooks: Webhooks, uow: Tx) -> WebhookSecret:
    """Add an address that events are sent to. The answer holds the signing secret, which is never shown again."""
    return with_secret(*await webhooks.create(uow, body, admin.user_id))


@router.get("", responses=problems(401, 403, 422), summary="Endpoints")
async def list_endpoints(admin: Reader, page: PageParams, webhooks: Webhooks, uow: ReadTx) -> Page[WebhookOut]:
    """List endpoints, the oldest first."""
    found, total = await webhooks.page(uow, limit=page.limit, offset=page.offset)
    return Page[WebhookOut].of([webhook_out(row) for row in found], total, page)


@router.get("/{endpoint_id}", responses=ONE, summary="An endpoint")
async def get_endpoint(endpoint_id: EndpointId, admin: Reader, webhooks: Webhooks, uow: ReadTx) -> WebhookOut:
    """Return an endpoint and how it does."""
    return webhook_out(await webhooks.get(uow, endpoint_id))


@router.patch("/{endpoint_id}", responses=ONE, summary="Change an endpoint")
async def change(endpoint_id: EndpointId, body: WebhookPatch, admin: Staff, webhooks: Webhooks, uow: Tx) -> WebhookOut:
    """Change address, events or description, or switch the endpoint on or off. What waits is kept meanwhile."""
    return webhook_out(await webhooks.change(uow, endpoint_id, body))


@router.delete("/{endpoint_id}", responses=ONE, summary="Delete an endpoint")
async def delete(endpoint_id: EndpointId, admin: Staff, webhooks: Webhooks, uow: Tx) -> WebhookOut:
    """Delete an endpoint with its secrets; return it as it was. What waits for it is never sent."""
    return webhook_out(await webhooks.remove(uow, endpoint_id))


@router.post(
    "/{endpoint_id}/rotate-secret", responses=problems(401, 403, 404, 422, 503), summary="Replace the signing secret"
)
async def rotate_secret(
    endpoint_id: EndpointId, admin: Staff, webhooks: Webhooks, uow: Tx, body: RotateIn | None = None
) -> WebhookSecret:
    """Make a new secret. For the overlap every request carries the signatures of both."""
    overlap = timedelta(hours=(body or RotateIn()).overlap_hours)
    return with_secret(*await webhooks.rotate(uow, endpoint_id, overlap))


@router.post(
    "/{endpoint_id}/ping",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Send a test event",
)
async def ping(endpoint_id: EndpointId, admin: Staff, webhooks: Webhooks, uow: Tx) -> DeliveryOut:
    """Queue a `webhook.ping`; how it went shows in the endpoint's deliveries."""
    return delivery_out(await webhooks.ping(uow, endpoint_id))


@router.get("/{endpoint_id}/deliveries", responses=ONE, summary="Deliveries of an endpoint")
async def list_deliveries(
    endpoint_id: EndpointId,
    admin: Reader,
    page: PageParams,
    webhooks: Webhooks,
    uow: ReadTx,
    state: Annotated[DeliveryState | None, Query(description="Only those that stand so.")] = None,
) -> Page[DeliveryOut]:
    """List what was and will be sent, the newest first."""
    found, total = await webhooks.deliveries(uow, endpoint_id, state, limit=page.limit, offset=page.offset)
    return Page[DeliveryOut].of([delivery_out(row) for row in found], total, page)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/replay",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Send an event again",
)
async def replay(
    endpoint_id: EndpointId, delivery_id: DeliveryId, admin: Staff, webhooks: Webhooks, uow: Tx
) -> DeliveryOut:
    """Send a dead or delivered event again, with the same `webhook-id`."""
    return delivery_out(await webhooks.replay(uow, endpoint_id, delivery_id))


@router.post(
    "/{endpoint_id}/replay",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 409, 422),
    summary="Send all dead events again",
)
async def replay_dead(endpoint_id: EndpointId, admin: Staff, webhooks: Webhooks, uow: Tx) -> Replayed:
    """Send an endpoint's dead events again, the oldest first."""
    return Replayed(replayed=await webhooks.replay_dead(uow, endpoint_id))
