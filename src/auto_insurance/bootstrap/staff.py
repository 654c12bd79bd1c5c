"""What staff work with, over the services of the domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auto_insurance.admin.recent import RecentFigures
from auto_insurance.admin.service import BookDesk, Dashboard, Exports, Operations
from auto_insurance.bootstrap.container import Container
from auto_insurance.claims.service import ClaimService
from auto_insurance.contracts import topics
from auto_insurance.drivers.service import DriverDesk, DriverService
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.bus.deadletters_desk import DeadLetterDesk
from auto_insurance.infra.bus.repository_deadletters import Letter
from auto_insurance.policies.service import PolicyService
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.service import MonthJobRunner, MonthJobs, TelematicsService


def services(container: Container, archive: ArchiveOptions) -> Sequence[object]:
    """Compose them; the domains' services are there."""
    database, get = container.database, container.get
    desk = DriverDesk(get(DeviceKeyService))
    telematics = get(TelematicsService)

    def headers(letter: Letter) -> Mapping[str, str]:
        return telematics.replay_headers(letter.created_at) if letter.topic == topics.TELEMATICS_EVENTS else {}

    return (
        desk,
        DeadLetterDesk(container.log, headers),
        MonthJobs(database),
        MonthJobRunner(database, get(Archiver), archive),
        Dashboard(get(PolicyService), get(ClaimService)),
        RecentFigures(database, container.settings.read_cache.figures_ttl_s),
        BookDesk(get(DriverService), desk, get(RiskService)),
        Exports(database),
        Operations(database, container.log, container.settings),
    )
