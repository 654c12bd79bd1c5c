"""What people work with, over the services that every process has."""

from __future__ import annotations

from auto_insurance.bootstrap import accounts, privacy, staff
from auto_insurance.bootstrap.container import Container
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.service import Passwords, UserService
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.portal.service import PortalService
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.service import TripService


def compose(container: Container, archive: ArchiveOptions) -> None:
    """Put accounts, the portal, privacy and the staff's desks."""
    get, limiter = container.get, container.get(RateLimiter)
    container.put(
        *accounts.compose(container.settings, container.database, get(Passwords), get(UserService), limiter),
        PortalService(
            get(TripService), get(TelematicsService), get(DriverService), get(RiskService), get(PricingService)
        ),
    )
    container.put(*privacy.compose(container, archive, limiter), *staff.services(container, archive))
