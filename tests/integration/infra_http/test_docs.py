from __future__ import annotations

import re

import httpx
import pytest

from auto_insurance.infra.http.app import AppOptions, create_app


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_documentation_loads_nothing_from_elsewhere(page: str) -> None:
    transport = httpx.ASGITransport(create_app(AppOptions(), []))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        html = (await client.get(page)).text
        addresses = re.findall(r"""(?:src|href)="([^"]+)\"""", html)
        assert addresses
        assert not [address for address in addresses if "//" in address]
        for address in addresses:
            assert (await client.get(address)).status_code == 200, address
        assert "/openapi.json" in html
