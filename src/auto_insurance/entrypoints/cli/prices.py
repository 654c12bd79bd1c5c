"""Commands about prices: make one again from what is stored, show a driver's, ask for a quote."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import EXIT_PROBLEM, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auto_insurance.bootstrap import Container
    from auto_insurance.pricing.replay import Replayed
    from auto_insurance.pricing.schemas import Premium, Premiums
    from auto_insurance.pricing.schemas_quotes import Quote

_LINES = ("step", "what", "input", "factor", "before", "after", "row of the plan")
_MONEY = ("step", "factor", "before", "after")


def replay_premium(
    premium_id: Annotated[str, typer.Argument(help="Id of a stored premium, as 'price show' prints it.")],
    stored_features: Annotated[
        bool, typer.Option("--stored-features", help="Don't cut events again: begin with the stored feature vector.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Make a stored premium [b]again[/b] and compare it with what is stored, line by line.

    Driving events are cut into trips again (archived months included), the model judges them, the plan rates them.
    Where the events are gone, the stored feature vector stands in; the answer says which.

    Ends with 0 if the price comes out the same to the cent, with 1 and the first place that differs if not.
    """
    wanted = _uuid(premium_id)

    async def work(container: Container) -> Replayed:
        from auto_insurance.pricing.replay_service import Replays  # noqa: PLC0415 - slow to load, not for --help

        async with container.database.read() as uow:
            return await container.get(Replays).replay(uow, wanted, from_events=not stored_features)

    found = with_container(work, data_dir)
    if as_json:
        print_json(_replayed(found))
    else:
        _tell(found)
    if not found.exact:
        raise typer.Exit(EXIT_PROBLEM)


def show_prices(
    driver_id: Annotated[str, typer.Argument(help="Id of a driver, such as DRV001.")],
    versions: Annotated[int, typer.Option(min=1, max=1000, help="How many versions to list, the newest.")] = 10,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Show what a driver pays, [b]line by line[/b], what the latest score indicates, and the versions before."""

    async def work(container: Container) -> tuple[Premiums, list[Premium]]:
        from auto_insurance.kernel.clock import EPOCH  # noqa: PLC0415 - as above
        from auto_insurance.pricing.service import PricingService  # noqa: PLC0415

        pricing = container.get(PricingService)
        async with container.database.begin() as uow:
            now = await pricing.current(uow, driver_id)
            return now, (await pricing.history(uow, driver_id, EPOCH, limit=versions))[0]

    now, before = with_container(work, data_dir)
    if as_json:
        print_json({"charged": _premium(now.charged), "versions": [_premium(premium) for premium in before]})
        return
    charged = now.charged
    say(f"{driver_id} pays {charged.annual_premium} {charged.currency} a year, {charged.monthly_premium} a month.")
    _worksheet(charged.worksheet)
    if now.indicated is not None:
        say(f"The latest score indicates {now.indicated.annual_premium} a year; nobody is charged it yet.")
    rows = [
        (
            p.version,
            p.kind,
            p.effective_date,
            p.annual_premium,
            p.reason,
            f"{p.created_at:%Y-%m-%d %H:%M}",
            p.premium_id,
        )
        for p in before
    ]
    print_table(("version", "kind", "from", "a year", "reason", "made", "premium"), rows, ("version", "a year"))


def quote_price(
    state: Annotated[str, typer.Option(help="State of the USA, two letters.")],
    coverage: Annotated[str, typer.Option(help="liability, standard or full.")] = "standard",
    product: Annotated[str, typer.Option(help="phyd, payd, per_mile or hybrid, as the plan has them.")] = "phyd",
    age: Annotated[int | None, typer.Option(help="Full years of the driver.")] = None,
    licence_years: Annotated[int | None, typer.Option(help="Full years since the licence.")] = None,
    vehicle_year: Annotated[int | None, typer.Option(help="Model year of the vehicle.")] = None,
    vehicle_use: Annotated[str | None, typer.Option(help="private, commute or business.")] = None,
    mileage: Annotated[int | None, typer.Option(help="Miles a year.")] = None,
    claims: Annotated[int | None, typer.Option(help="Claims so far.")] = None,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of cover; today.")] = None,
    telematics: Annotated[bool, typer.Option(help="Whether to drive with a device.")] = True,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Price somebody and [b]keep the quote[/b]: it can be bound until it expires. What is left out is unknown."""
    given: dict[str, Any] = {
        "state": state,
        "coverage": coverage,
        "product": product,
        "driver_age": age,
        "licence_years": licence_years,
        "vehicle_year": vehicle_year,
        "vehicle_use": vehicle_use,
        "annual_mileage": mileage,
        "prior_claims": claims,
        "telematics": telematics,
        "start_date": None if start is None else start.date(),
    }

    async def work(container: Container) -> Quote:
        from pydantic import ValidationError  # noqa: PLC0415 - as above

        from auto_insurance.pricing.service import PricingService, QuoteRequest  # noqa: PLC0415

        try:
            request = QuoteRequest.model_validate({name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            fail("; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()), 2)
        async with container.database.begin() as uow:
            return await container.get(PricingService).quote(uow, request)

    quote = with_container(work, data_dir)
    if as_json:
        print_json(_quote(quote))
        return
    _worksheet(quote.worksheet)
    say(
        f"{quote.quote_id}: {quote.annual_premium} {quote.currency} a year, {quote.monthly_premium} a month, "
        f"until {quote.expires_at:%Y-%m-%d}."
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail(f"{text} is no id of a premium; 'auto-insurance price show DRV001' prints them.", 2)


def _tell(found: Replayed) -> None:
    from auto_insurance.pricing.replay import SAID  # noqa: PLC0415 - as above

    say(f"Premium {found.premium_id}: {found.driver_id}, version {found.version}, {found.kind}, {found.reason}.")
    say(f"Plan {found.plan_version}, model {found.model_version or 'none'}. Made again from {SAID[found.source]}.")
    if found.events:
        archived = f", {found.archived_events:,} of them archived" if found.archived_events else ""
        say(f"{found.events:,} events{archived}; {found.trips:,} trips count.")
    rows = [
        ("a year", found.annual_premium, found.annual_premium_again),
        ("a month", found.monthly_premium, found.monthly_premium_again),
    ]
    print_table(("", "stored", "again"), rows, ("stored", "again"))
    if found.first is None:
        say("The same to the cent, and in every line.", "green")
        return
    say(f"Differs first at {found.first.where}: stored {found.first.stored}, again {found.first.again}.", "bold red")
    print_table(("differs", "stored", "again"), [(one.where, one.stored, one.again) for one in found.differences])


def _worksheet(lines: Iterable[Any]) -> None:
    rows = [
        (line.step, line.label, line.input, line.factor, line.amount_before, line.amount_after, line.source)
        for line in lines
    ]
    print_table(_LINES, rows, _MONEY)


def _replayed(found: Replayed) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - as above

    return {**msgspec.to_builtins(found), "exact": found.exact}


def _premium(premium: Premium) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - as above

    built: dict[str, Any] = msgspec.to_builtins(premium)
    return built


def _quote(quote: Quote) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - as above

    built: dict[str, Any] = msgspec.to_builtins(quote)
    return built
