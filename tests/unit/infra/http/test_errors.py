from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from auto_insurance.infra.http.errors import STATUS_OF_KIND
from auto_insurance.kernel.errors import ErrorKind


@pytest.mark.parametrize(("kind", "status"), [(kind, STATUS_OF_KIND[kind]) for kind in ErrorKind])
async def test_every_kind_has_its_status(client: httpx.AsyncClient, kind: ErrorKind, status: int) -> None:
    answer = await client.get(f"/api/v1/things/kind/{kind}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"], body["detail"], body["errors"]) == (
        status,
        "of_a_kind",
        "No, thank you.",
        [],
    )
    assert body["request_id"] == answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answer.headers.get("retry-after") == {429: "7", 503: "5"}.get(status)


async def test_fields_of_a_domain_error(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/things/field")
    assert answer.json()["errors"] == [{"field": "a.b", "code": "too_big", "message": "Too big"}]


async def test_wrong_fields_are_named_and_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/things", json={"name": "hunter2-secret", "size": "many"})
    assert answer.status_code == 422
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [
        ("body.name", "string_too_long"),
        ("body.size", "int_parsing"),
    ]
    assert "hunter2" not in answer.text


async def test_malformed_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/things", content=b'{"name": ', headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_json"


async def test_json_that_is_no_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/things", content=b'"\xff\xfe"', headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_address_and_method(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nowhere")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await client.delete("/api/v1/things/page")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


async def test_the_unexpected_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/things/crash", headers={"X-Request-ID": "abc"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == "abc"
    assert "hunter2" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_lost_connection_is_a_matter_of_waiting(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/things/away")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["code"] == "unavailable"


async def test_an_answer_that_breaks_off_is_not_patched_up(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(RuntimeError, match="middle"):
            await client.get("/api/v1/things/broken-stream")


async def test_the_document_tells_what_is_answered(app: FastAPI) -> None:
    document = app.openapi()
    responses = document["paths"]["/api/v1/things"]["post"]["responses"]
    for status in ("409", "422"):
        assert responses[status]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    schemas = document["components"]["schemas"]
    assert {"Problem", "ProblemField"} <= set(schemas)
    assert "HTTPValidationError" not in schemas
    assert app.openapi() is document
