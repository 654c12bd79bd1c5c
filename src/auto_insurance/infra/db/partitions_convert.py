"""Makes a monthly partitioned table of an ordinary one with data, while others read and write it.

1. A partitioned copy of the table's definition is made beside it; its key is the old key and the column of time.
2. From a trigger on, every change of the old table is made in the new one too, in the same transaction.
3. What was there before is copied in small transactions. A row is locked against change while it is copied; where
   somebody changes it just then, the transaction gives way and is tried again.
4. One statement compares the content of both, as of one moment.
5. The tables exchange their names under a lock that lasts for milliseconds and is asked for with a short time-out.

The old table stays under its new name until a person drops it. Killed at any point, it goes on when started again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text

from auto_insurance.infra.db.partitions import months_ahead, parse_month
from auto_insurance.infra.db.partitions_admin import Maintenance, maintenance
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind

log = structlog.get_logger(__name__)
PAGES = 64
"""Pages copied per transaction: some thousand rows, some ten milliseconds."""
AHEAD = 3
_PLAIN = re.compile(r"[a-z_][a-z0-9_]{0,39}")
OnStep = Callable[[str, int, int], None]


class NotConvertible(AppError):
    """A table can't be converted; the text says why."""

    kind = ErrorKind.CONFLICT
    code = "not_convertible"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it. ``kept`` is the name of the old table."""

    table: str
    rows: int
    partitions: int
    kept: str


@dataclass(frozen=True, slots=True)
class _Plan:
    table: str
    column: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    indexes: tuple[str, ...]
    instant: str
    """The column of time as an instant's UTC text in SQL, for its month."""

    @property
    def new(self) -> str:
        return f"{self.table}_partitioned"

    @property
    def kept(self) -> str:
        return f"{self.table}_unpartitioned"

    @property
    def mirror(self) -> str:
        return f"{self.table}_mirror"


async def convert(
    database: Database, table: str, *, column: str = "timestamp", on_step: OnStep = lambda step, done, total: None
) -> Converted:
    """Convert ``table`` to monthly partitions by ``column``. Needs the disk space of the table once more.

    Raises ``NotConvertible`` before anything is changed, and ``PartitionsBusy``.
    """
    async with maintenance(database, f"convert:{table}") as care:
        async with care.database.read() as uow:
            plan = await _plan(uow, table, column)
        await care.transaction(lambda uow: _make(uow, plan))
        pages = await care.transaction(lambda uow: _mirror(uow, plan))
        await _create_months(care, plan)
        on_step("mirroring", 0, pages)
        for first in range(0, pages, PAGES):
            await care.transaction(lambda uow, first=first: _copy(uow, plan, first))  # type: ignore[misc]
            on_step("copying", min(first + PAGES, pages), pages)
        rows = await _compare(care, plan)
        on_step("compared", rows, rows)
        partitions = await care.transaction(lambda uow: _swap(uow, plan))
        await care.run(f'ANALYZE "{table}"')
        on_step("swapped", rows, rows)
    log.info("table_converted", table=table, rows=rows, partitions=partitions)
    return Converted(table, rows, partitions, plan.kept)


async def _plan(uow: UnitOfWork, table: str, column: str) -> _Plan:
    if not _PLAIN.fullmatch(table):
        raise NotConvertible("Only a table whose name is of at most 40 small letters, digits and _ can be converted.")
    kind = await uow.conn.scalar(text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:t)"), {"t": table})
    if kind != "r":
        found = {None: "There is no such table", "p": "It is partitioned already"}.get(kind, "It is no ordinary table")
        raise NotConvertible(f"{table}: {found}.")
    rows = await uow.conn.execute(
        text(
            "SELECT attname AS name, atttypid::regtype::text AS type, attidentity <> '' AS identity, attgenerated <> ''"
            " AS generated FROM pg_attribute WHERE attrelid = to_regclass(:t) AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum"
        ),
        {"t": table},
    )
    columns = {row.name: row for row in rows}
    instant = columns[column].type if column in columns else None
    if instant not in {"timestamp with time zone", "timestamp without time zone"}:
        raise NotConvertible(f"{table} has no column {column} of type timestamp. Name it with --column.")
    for obstacle, query in _OBSTACLES:
        names = (await uow.conn.execute(text(query), {"t": table, "mirror": f"{table}_mirror", "c": column})).scalars()
        if obstacles := sorted(names):
            raise NotConvertible(f"{table} {obstacle}: {', '.join(obstacles)}.")
    key = tuple((await uow.conn.execute(text(_KEY), {"t": table})).scalars())
    if not key:
        raise NotConvertible(f"{table} has no primary key.")
    indexes = (await uow.conn.execute(text(_INDEXES), {"t": table})).scalars()
    return _Plan(
        table,
        column,
        tuple(name for name, row in columns.items() if not row.generated),
        key if column in key else (*key, column),
        tuple(indexes),
        f'"{column}"' if instant == "timestamp without time zone" else f"\"{column}\" AT TIME ZONE 'UTC'",
    )


_KEY = (
    "SELECT a.attname FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (n, place), pg_attribute a"
    " WHERE i.indrelid = to_regclass(:t) AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.n"
    " ORDER BY k.place"
)
_INDEXES = (
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(:t) AND NOT indisprimary"
    " AND indisvalid ORDER BY indexrelid"
)
_OBSTACLES = (
    (
        "is referred to by foreign keys",
        "SELECT conname FROM pg_constraint WHERE confrelid = to_regclass(:t) AND contype = 'f'",
    ),
    (
        "has triggers, which would be lost",
        "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:t) AND NOT tgisinternal"
        " AND tgname NOT LIKE :mirror || '%'",
    ),
    (
        "is used by views",
        "SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
        " WHERE d.refobjid = to_regclass(:t) AND d.classid = 'pg_rewrite'::regclass",
    ),
    (
        "has identity columns, which partitioned copies can't share",
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:t) AND attidentity <> ''",
    ),
    (
        "is unique over columns without the one of time",
        "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = to_regclass(:t) AND i.indisunique"
        " AND NOT i.indisprimary AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid"
        " AND a.attname = :c AND a.attnum = ANY (i.indkey::int2[]))",
    ),
    (
        "was converted before, the old one is still there",
        "SELECT c.relname FROM pg_class c WHERE c.oid = to_regclass(:t || '_unpartitioned')",
    ),
)


async def _make(uow: UnitOfWork, plan: _Plan) -> None:
    if await uow.conn.scalar(text("SELECT to_regclass(:n) IS NOT NULL"), {"n": plan.new}):
        return
    await uow.conn.exec_driver_sql(
        f'CREATE TABLE "{plan.new}" (LIKE "{plan.table}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE'
        f' INCLUDING COMPRESSION INCLUDING GENERATED) PARTITION BY RANGE ("{plan.column}")'
    )
    await uow.conn.exec_driver_sql(f'ALTER TABLE "{plan.new}" ADD PRIMARY KEY ({_names(plan.key)})')
    for definition in plan.indexes:
        unique = "UNIQUE " if definition.startswith("CREATE UNIQUE") else ""
        body = definition.split(" USING ", 1)[1]
        await uow.conn.exec_driver_sql(f'CREATE {unique}INDEX ON "{plan.new}" USING {body}')
    grants = text(
        "SELECT format('GRANT %s ON %I TO %I', privilege_type, CAST(:new AS text), grantee)"
        " FROM information_schema.role_table_grants WHERE table_name = :t AND table_schema = current_schema()"
        " AND grantee NOT IN (current_user, 'PUBLIC')"
    )
    for grant in (await uow.conn.execute(grants, {"new": plan.new, "t": plan.table})).scalars().all():
        await uow.conn.exec_driver_sql(grant)


async def _mirror(uow: UnitOfWork, plan: _Plan) -> int:
    """Have every change made in the new table too; return how many pages the old one has by now."""
    same = " AND ".join(f't."{name}" = OLD."{name}"' for name in plan.key)
    values = ", ".join(f'NEW."{name}"' for name in plan.columns)
    await uow.conn.exec_driver_sql(
        f"""
        CREATE OR REPLACE FUNCTION "{plan.mirror}"() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                RAISE EXCEPTION '% is being converted and can not be truncated now', TG_TABLE_NAME;
            END IF;
            IF TG_OP <> 'INSERT' THEN
                DELETE FROM "{plan.new}" AS t WHERE {same};
            END IF;
            IF TG_OP <> 'DELETE' THEN
                BEGIN
                    INSERT INTO "{plan.new}" ({_names(plan.columns)}) VALUES ({values});
                EXCEPTION WHEN check_violation THEN
                    PERFORM create_month_partition('{plan.new}', (NEW.{plan.instant})::date);
                    INSERT INTO "{plan.new}" ({_names(plan.columns)}) VALUES ({values});
                END;
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 - names of the catalogue, quoted
    )
    await uow.conn.exec_driver_sql(
        f'CREATE OR REPLACE TRIGGER "{plan.mirror}" AFTER INSERT OR UPDATE OR DELETE ON "{plan.table}"'
        f' FOR EACH ROW EXECUTE FUNCTION "{plan.mirror}"()'
    )
    await _drop_trigger(uow, plan, "_all")
    await uow.conn.exec_driver_sql(
        f'CREATE TRIGGER "{plan.mirror}_all" BEFORE TRUNCATE ON "{plan.table}" EXECUTE FUNCTION "{plan.mirror}"()'
    )
    size = text("SELECT pg_relation_size(to_regclass(:t)) / current_setting('block_size')::int")
    return int(await uow.conn.scalar(size, {"t": plan.table}) or 0)


async def _create_months(care: Maintenance, plan: _Plan) -> None:
    async with care.database.read() as uow:
        query = f"SELECT DISTINCT to_char({plan.instant}, 'YYYY-MM') FROM \"{plan.table}\""  # noqa: S608
        found = [parse_month(month) for month in (await uow.conn.execute(text(query))).scalars()]
        now = await uow.conn.scalar(text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')"))
    create = text("SELECT create_month_partition(:parent, :month)")
    for month in sorted({*found, *months_ahead(parse_month(str(now)), AHEAD)}):
        params = {"parent": plan.new, "month": month.start.date()}
        await care.transaction(lambda uow, params=params: uow.conn.execute(create, params))  # type: ignore[misc]


async def _copy(uow: UnitOfWork, plan: _Plan, first: int) -> None:
    # A row that somebody is changing fails this transaction at once (NOWAIT): it holds nobody up and waits for nobody.
    await uow.conn.exec_driver_sql(
        f'INSERT INTO "{plan.new}" ({_names(plan.columns)}) SELECT {_names(plan.columns)} FROM "{plan.table}"'  # noqa: S608
        f" WHERE ctid >= '({first},0)' AND ctid < '({first + PAGES},0)' FOR SHARE NOWAIT ON CONFLICT DO NOTHING"
    )


async def _compare(care: Maintenance, plan: _Plan) -> int:
    row = ", ".join(f'"{name}"' for name in plan.columns)
    md5 = f"md5(record_send(ROW({row})))"
    summed = f"SELECT count(*) AS rows, sum(('x' || substr({md5}, 1, 16))::bit(64)::bigint) AS checksum"
    query = f'SELECT a.rows, b.rows, a.checksum, b.checksum FROM ({summed} FROM "{plan.table}") AS a,'  # noqa: S608
    async with care.database.read() as uow:
        # One moment for the plan, too: a partition that a writer makes in between would be missing from it.
        await uow.conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old, new, mine, theirs = (await uow.conn.execute(text(f'{query} ({summed} FROM "{plan.new}") AS b'))).one()
    if (old, mine) != (new, theirs):
        raise NotConvertible(f"{plan.table} has {old} rows, its copy {new} or others. Nothing was exchanged.")
    return int(old)


async def _swap(uow: UnitOfWork, plan: _Plan) -> int:
    run = uow.conn.exec_driver_sql
    await run(f'LOCK TABLE "{plan.table}" IN ACCESS EXCLUSIVE MODE')
    await _drop_trigger(uow, plan, "")
    await _drop_trigger(uow, plan, "_all")
    await run(f'DROP FUNCTION "{plan.mirror}"()')
    sequences = text(
        "SELECT d.objid::regclass::text AS name, a.attname AS column FROM pg_depend d JOIN pg_attribute a"
        " ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.refobjid = to_regclass(:t)"
        " AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'"
        " AND d.objid IN (SELECT oid FROM pg_class WHERE relkind = 'S')"
    )
    for name, column in (await uow.conn.execute(sequences, {"t": plan.table})).all():
        await run(f'ALTER SEQUENCE {name} OWNED BY "{plan.new}"."{column}"')
    await run(f'ALTER TABLE "{plan.table}" RENAME TO "{plan.kept}"')
    await run(f'ALTER TABLE "{plan.new}" RENAME TO "{plan.table}"')
    query = text("SELECT partition FROM month_partitions(:t)")
    children = (await uow.conn.execute(query, {"t": plan.table})).scalars().all()
    for child in children:
        await run(f'ALTER TABLE "{child}" RENAME TO "{plan.table}{child.removeprefix(plan.new)}"')
    return len(children)


async def _drop_trigger(uow: UnitOfWork, plan: _Plan, which: str) -> None:
    await uow.conn.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{plan.mirror}{which}" ON "{plan.table}"')


def _names(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
