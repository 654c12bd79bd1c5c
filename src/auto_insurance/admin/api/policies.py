"""The list of policies as a file; all else about policies is with their own domain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from auto_insurance.admin import queries_resources
from auto_insurance.admin.api.common import CsvResponse, Files, OfDriver, Search, Viewer, cleaned, csv_file
from auto_insurance.admin.exports import Export
from auto_insurance.admin.queries_resources import ThingFilter
from auto_insurance.admin.schemas import PolicyLine
from auto_insurance.infra.http.errors import problems
from auto_insurance.policies.schemas import Status

router = APIRouter(prefix="/admin/policies", tags=["admin"])


@router.get(
    "/export.csv",
    summary="Policies as a file",
    response_class=CsvResponse,
    responses=problems(401, 403, 422, 503),
)
async def export_policies(
    staff: Viewer,
    files: Files,
    search: Search = "",
    driver_id: OfDriver = None,
    state: Annotated[Status | None, Query(alias="status", description="Only those that stand there.")] = None,
) -> Response:
    """Write the policies in the order of ids, at most 50,000."""
    wanted = ThingFilter(cleaned(search), driver_id, None if state is None else state.value)
    export = Export(
        PolicyLine,
        lambda uow, after, limit: queries_resources.policies_after(uow, wanted, after=after or "", limit=limit),
        lambda row: row.policy_id,
        PolicyLine.of,
    )
    return await csv_file(files, "policies", export)
