"""Whatever is sent to any route of the OpenAPI document: never a 5xx, and no answer that is not declared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EXAMPLES = 2
"""Requests made up per operation, beside the values at the limits and the examples of the document."""
SEED = 20_260_615
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OPERATIONS = "^/(live|ready|health|metrics)$"
"""Outside the prefix; a 503 of theirs is no fault of the routes: there is no worker here."""
PACKAGE = "risk_add_model"
"""Takes a zip, which cannot be made up; the registry's own tests send it bad ones."""


def test_no_request_finds_an_undeclared_answer(demo_api: System, tmp_path: Path) -> None:
    demo_api.wait_ready()
    demo_api.sign_in()
    # One worker: Python 3.11 can't parse source in several threads at once (AST constructor recursion depth mismatch).
    argv = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{demo_api.base_url}/openapi.json"),
        *("--header", f"Authorization: {demo_api.http.headers['Authorization']}"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--seed", str(SEED), "--no-shrink", "--continue-on-failure"),
        *("--exclude-path-regex", OPERATIONS, "--request-timeout", "30", "--warnings", "off"),
        *("--exclude-operation-id", PACKAGE, "--suppress-health-check", "all"),
    ]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=580, check=False)
    said = done.stdout[-12_000:] + done.stderr[-2_000:]
    assert done.returncode == 0, said
    assert "No issues found" in said, said
