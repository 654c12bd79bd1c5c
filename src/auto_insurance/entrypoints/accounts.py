"""Accounts that a start makes sure of: the first administrator, and in demo mode the demo's people."""

from __future__ import annotations

import asyncio

import structlog

from auto_insurance.bootstrap import Container
from auto_insurance.devicekit.simulator.fleet import Fleet, FleetOptions
from auto_insurance.devicekit.simulator.people import SimulatedDriver
from auto_insurance.drivers.schemas import Coverage, DriverCreate, VehicleCreate, VehicleUse
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.identity.users import DEMO_DOMAIN
from auto_insurance.infra.bus.backoff import wait_unless
from auto_insurance.infra.db import faults
from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import AppError
from auto_insurance.pricing.service import PricingService

log = structlog.get_logger(__name__)
DEMO_DRIVERS = 20
DEMO_SEED = 1
ADMIN_USER, ADMIN_PASSWORD = "admin", "admin123"
RETRY_S = 1.0


def demo_fleet() -> Fleet:
    """Return the demo's simulated fleet; driver i of it is ``DRV00{i + 1}``."""
    devices = [demo_device(number) for number in range(1, DEMO_DRIVERS + 1)]
    return Fleet(FleetOptions(seed=DEMO_SEED, size=DEMO_DRIVERS), devices)


def demo_device(number: int) -> str:
    """Return the device of a demo driver, counted from 1."""
    return f"SIM-{number:03d}"


def demo_login(number: int) -> tuple[str, str]:
    """Return username and password of a demo driver, counted from 1."""
    return f"driver{number:04d}", f"password{number:04d}"


async def prepare(container: Container, stop: asyncio.Event) -> None:
    """Make sure of the accounts; waits for the database until ``stop``."""
    while not stop.is_set():
        try:
            await _prepare(container)
        except AppError as error:
            log.error("accounts_not_prepared", error=error.code)
            return
        except Exception as error:
            if not faults.is_transient(error):
                raise
            await wait_unless(stop, RETRY_S)
        else:
            return


async def _prepare(container: Container) -> None:
    settings, users = container.settings, container.get(UserService)
    async with container.database.begin() as uow:
        await lock(uow, "accounts")
        await users.set_demo_accounts(uow, active=settings.demo_mode)
        if settings.login.admin_password is not None:
            await users.ensure_first_admin(uow, settings.login.admin_password.get_secret_value())
    if settings.demo_mode:
        await _ensure_demo(container)


async def _ensure_demo(container: Container) -> None:
    admin = NewUser(username=ADMIN_USER, email=f"{ADMIN_USER}{DEMO_DOMAIN}", roles=frozenset({Role.ADMIN}))
    async with container.database.begin() as uow:
        await container.get(UserService).ensure_user(uow, admin, ADMIN_PASSWORD)
    for number, driver in enumerate(demo_fleet().drivers(), 1):
        async with container.database.begin() as uow:
            await _ensure_demo_driver(container, uow, number, driver)
    log.info("demo_people_ready", drivers=DEMO_DRIVERS)


async def _ensure_demo_driver(container: Container, uow: UnitOfWork, number: int, driver: SimulatedDriver) -> None:
    enrolled = await container.get(DriverService).ensure_driver(uow, number, _enrolment(driver, number))
    username, password = demo_login(number)
    login = NewUser(
        username=username,
        email=f"{username}{DEMO_DOMAIN}",
        roles=frozenset({Role.DRIVER}),
        driver_id=enrolled.driver_id,
    )
    await container.get(UserService).ensure_user(uow, login, password)
    await container.get(PricingService).charge_initial(uow, enrolled.driver_id)


def _enrolment(driver: SimulatedDriver, number: int) -> DriverCreate:
    coverages = tuple(Coverage)
    vehicle = driver.vehicle
    return DriverCreate(
        full_name=f"{driver.name} (simulated)",
        date_of_birth=driver.date_of_birth,
        licence_date=driver.licence_date,
        state=driver.state,
        time_zone=driver.time_zone,
        declared_annual_mileage=driver.declared_annual_mileage,
        prior_claims=driver.prior_claims,
        coverage=coverages[number % len(coverages)],
        vehicle=VehicleCreate(make=vehicle.make, model=vehicle.model, year=vehicle.year, use=VehicleUse(vehicle.use)),
    )
