"""Routes of the registry of risk models."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response, status

from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.risk.drift import DriftWatch
from auto_insurance.risk.registry import ModelRegistry
from auto_insurance.risk.repository_models import ModelRow
from auto_insurance.risk.schemas_models import (
    VERSION_PATTERN,
    ActivateRequest,
    ComparisonOut,
    DriftItem,
    DriftOut,
    ModelChangeItem,
    ModelItem,
    ModelsOut,
    RollBackRequest,
)
from auto_insurance.risk.training.drift import MOVED, STABLE

router = APIRouter(prefix="/models")
Registry = Annotated[ModelRegistry, service(ModelRegistry)]
Reader = Annotated[Principal, staff(Permission.VIEW_MODELS)]
Manager = Annotated[Principal, staff(Permission.MANAGE_MODELS)]
Version = Annotated[str, Path(pattern=VERSION_PATTERN, examples=["driving-2"])]


@router.get("", summary="Risk models and their standing", responses=problems(401, 403, 503))
async def list_models(uow: ReadTx, registry: Registry, admin: Reader) -> ModelsOut:
    """List models, which of them scores, and who changed what."""
    await registry.refresh(uow)
    return ModelsOut(
        champion=registry.champion.model.info.version,
        challenger=registry.challenger.model.info.version if registry.challenger else None,
        models=[_item(registry, row) for row in await registry.list_models(uow)],
        changes=[ModelChangeItem.model_validate(c, from_attributes=True) for c in await registry.changes(uow)],
    )


@router.post(
    "",
    summary="Register a trained model",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 409, 413, 422, 503),
)
async def add_model(
    uow: Tx,
    registry: Registry,
    admin: Manager,
    version: Annotated[str, Query(pattern=VERSION_PATTERN, description="A name of its own; never used again.")],
    package: Annotated[bytes, Body(media_type="application/zip", description="Zip of an artefact's files.")],
) -> ModelItem:
    """Check a model's files and keep them as a candidate. It scores nobody until it is activated."""
    return _item(registry, await registry.add(uow, version, package, admin.username))


@router.get("/drift", summary="How far the book has moved", responses=problems(401, 403, 422, 503))
async def drift(
    uow: ReadTx,
    watch: Annotated[DriftWatch, service(DriftWatch)],
    admin: Reader,
    nights: Annotated[int, Query(ge=1, le=400, description="How many nights back.")] = 30,
) -> DriftOut:
    """Give the nightly measurements, newest first: stability indices of features and score, claims over expected."""
    found = [DriftItem.of(night) for night in await watch.nights(uow, nights)]
    return DriftOut(stable_below=STABLE, moved_above=MOVED, nights=found)


@router.post("/roll-back", summary="Go back to the champion before", responses=problems(401, 403, 409, 422, 503))
async def roll_back(uow: Tx, registry: Registry, admin: Manager, request: RollBackRequest) -> ModelItem:
    """Make the last other champion the champion again."""
    return _item(registry, await registry.roll_back(uow, admin.username, request.note))


@router.post(
    "/{version}/activate", summary="Make a model the champion", responses=problems(401, 403, 404, 409, 422, 503)
)
async def activate(
    uow: Tx, registry: Registry, admin: Manager, version: Version, request: ActivateRequest
) -> ModelItem:
    """Make a model the champion, the challenger in the shadow, or retire it. All processes follow within seconds."""
    return _item(registry, await registry.activate(uow, version, request.status, admin.username, request.note))


@router.get(
    "/{version}/card",
    summary="A model's card",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {}}}, **problems(401, 403, 404, 422, 503)},
)
async def card(uow: ReadTx, registry: Registry, admin: Reader, version: Version) -> Response:
    """Give the model card as Markdown: what it was trained on, how good it is, what it is not for."""
    return Response(await registry.card(uow, version), media_type="text/markdown; charset=utf-8")


@router.get(
    "/{version}/comparison", summary="A challenger beside the champion", responses=problems(401, 403, 404, 422, 503)
)
async def comparison(uow: ReadTx, registry: Registry, admin: Reader, version: Version) -> ComparisonOut:
    """Compare the scores of the drivers that both scored, the newest of each."""
    return ComparisonOut.model_validate(await registry.comparison(uow, version), from_attributes=True)


def _item(registry: ModelRegistry, row: ModelRow) -> ModelItem:
    in_use = row.version == registry.champion.model.info.version
    return ModelItem(in_use=in_use, **{n: getattr(row, n) for n in ModelItem.model_fields if n != "in_use"})
