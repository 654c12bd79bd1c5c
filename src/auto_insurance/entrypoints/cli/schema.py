"""Which migration a database is at, and which one the program needs."""

from __future__ import annotations

import asyncio

import asyncpg
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from auto_insurance.infra.db.migrate import alembic_config


def revisions(url: str, timeout_s: float = 10.0) -> tuple[str | None, str | None]:
    """Return (present, wanted) revision of the schema. Raises ``OSError`` or ``ValueError`` with a plain message."""
    wanted = ScriptDirectory.from_config(alembic_config(url)).get_current_head()
    return asyncio.run(_present(url, timeout_s)), wanted


async def _present(url: str, timeout_s: float) -> str | None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        conn = await asyncpg.connect(plain, timeout=timeout_s, command_timeout=timeout_s)
    except asyncpg.PostgresError as error:
        raise OSError(str(error)) from error
    except TimeoutError as error:
        raise OSError(f"no answer within {timeout_s:.0f} s") from error
    try:
        if await conn.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        found = await conn.fetchval("SELECT version_num FROM alembic_version")
        return None if found is None else str(found)
    finally:
        await conn.close()
