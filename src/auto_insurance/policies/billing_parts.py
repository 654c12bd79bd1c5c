"""How the parts of billing are put together."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from auto_insurance.infra.config.groups import BillingSettings
from auto_insurance.infra.db.uow import Database
from auto_insurance.policies.billing_dunning import DunningDays
from auto_insurance.policies.billing_jobs import BillingJobs, BillingOptions, Lapser
from auto_insurance.policies.invoices import InvoiceOptions, Invoices
from auto_insurance.policies.ledger import Ledger
from auto_insurance.policies.payments import LocalProvider, PaymentProvider
from auto_insurance.policies.payments_service import Payments
from auto_insurance.policies.postings import ZERO, InstalmentPlan
from auto_insurance.policies.statements import Statements, TripReader


class MoneyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of billing."""

    instalments: InstalmentPlan = InstalmentPlan.MONTHLY
    instalment_fee: Decimal = ZERO
    lead_days: int = 14
    settle_days: int = 5
    dunning: DunningDays = DunningDays()
    callback_secret: str | None = None


def money_options(settings: BillingSettings) -> MoneyOptions:
    """Return the options that the settings ask for."""
    secret = settings.callback_secret
    return MoneyOptions(
        instalments=InstalmentPlan(settings.instalments),
        instalment_fee=settings.instalment_fee,
        lead_days=settings.lead_days,
        settle_days=settings.settle_days,
        dunning=DunningDays(settings.reminder_days, settings.final_notice_days, settings.lapse_days),
        callback_secret=None if secret is None else secret.get_secret_value(),
    )


class Money:
    """Ledger, invoices, payments and statements over one chart of accounts."""

    def __init__(
        self, trips: TripReader, options: MoneyOptions | None = None, provider: PaymentProvider | None = None
    ) -> None:
        self._options = chosen = options or MoneyOptions()
        self.invoices = Invoices(InvoiceOptions(chosen.lead_days, chosen.instalment_fee, chosen.dunning))
        self.ledger = Ledger(self.invoices, default_plan=chosen.instalments)
        self.payments = Payments(self.ledger, self.invoices, provider or LocalProvider(chosen.callback_secret))
        self.statements = Statements(self.ledger, self.invoices, trips)

    @property
    def services(self) -> tuple[object, ...]:
        """The parts that routes and jobs ask for."""
        return self.ledger, self.invoices, self.payments, self.statements

    def jobs(self, database: Database, policies: Lapser) -> BillingJobs:
        """Return the daily work."""
        options = BillingOptions(
            lead_days=self._options.lead_days, settle_days=self._options.settle_days, dunning=self._options.dunning
        )
        parts = (self.ledger, self.invoices, self.payments, self.statements)
        return BillingJobs(database, *parts, policies, options)
