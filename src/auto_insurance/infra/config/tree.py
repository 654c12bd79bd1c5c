"""The settings: one typed tree, grouped by theme."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, PrivateAttr, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auto_insurance.infra.config.groups import (
    BillingSettings,
    CacheSettings,
    DatabaseSettings,
    Environment,
    Group,
    JwtSettings,
    KafkaSettings,
    LoginSettings,
    LogSettings,
    MetricsSettings,
    MlSettings,
    PricingSettings,
    RedisSettings,
    RetentionSettings,
    ServerSettings,
    TelematicsSettings,
    TripSettings,
    setting,
)
from auto_insurance.infra.config.groups_audit import AuditSettings
from auto_insurance.infra.config.groups_cache import ReadCacheSettings
from auto_insurance.infra.config.groups_identity import AccountSettings, MailSettings, OidcSettings
from auto_insurance.infra.config.groups_policies import PolicySettings
from auto_insurance.infra.config.groups_privacy import PrivacySettings
from auto_insurance.infra.config.groups_tracing import TracingSettings
from auto_insurance.infra.config.groups_web import WebSettings
from auto_insurance.infra.config.groups_webhooks import WebhookSettings


class Settings(BaseSettings):
    """All settings. Made by :func:`auto_insurance.infra.config.load_settings` alone."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    environment: Environment = setting("ENVIRONMENT", Environment.DEVELOPMENT, "Where the product runs.")
    debug: bool = setting("DEBUG", False, "Show internals; refused in production.")
    demo_mode: bool = setting(
        "DEMO_MODE", False, "Create the demo's users with known passwords; refused in production."
    )
    data_dir: Path = setting("DATA_DIR", Path(".data"), "Folder of the embedded engines and of files that we keep.")
    event_log: Literal["postgres", "kafka"] = setting("EVENT_LOG", "postgres", "Engine of the event log.")

    server: ServerSettings = Field(default_factory=ServerSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    jwt: JwtSettings = Field(default_factory=JwtSettings)
    login: LoginSettings = Field(default_factory=LoginSettings)
    accounts: AccountSettings = Field(default_factory=AccountSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    read_cache: ReadCacheSettings = Field(default_factory=ReadCacheSettings)
    ml: MlSettings = Field(default_factory=MlSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    telematics: TelematicsSettings = Field(default_factory=TelematicsSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    trips: TripSettings = Field(default_factory=TripSettings)
    policies: PolicySettings = Field(default_factory=PolicySettings)
    billing: BillingSettings = Field(default_factory=BillingSettings)
    pricing: PricingSettings = Field(default_factory=PricingSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    web: WebSettings = Field(default_factory=WebSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def archive_dir(self) -> Path:
        """The folder of archived months."""
        return self.retention.archive_dir or self.data_dir / "archive"

    @property
    def is_production(self) -> bool:
        """Whether this is production."""
        return self.environment is Environment.PRODUCTION

    @property
    def sources(self) -> dict[str, str]:
        """Environment name -> where its value came from, for those that are not at their default."""
        return dict(self._sources)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about variables that look like misspelt settings; to be logged at start."""
        return self._warnings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the loader only: it reads environment, secret files and env file, and names each source."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: its environment name, where it is in the tree, and what is known about it."""

    env: str
    path: tuple[str, ...]
    field: FieldInfo
    theme: str

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return self.field.annotation is SecretStr or SecretStr in get_args(self.field.annotation)

    @property
    def production(self) -> Any:
        """Its default in production, or ``None`` if that is the usual one."""
        return _extra(self.field)["production"]


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _walk(model: type[BaseModel], path: tuple[str, ...], theme: str) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Group):
            yield from _walk(annotation, (*path, name), annotation.__doc__ or name)
        else:
            yield Leaf(_extra(field)["env"], (*path, name), field, theme)


LEAVES: tuple[Leaf, ...] = tuple(_walk(Settings, (), "Where and how the product runs."))
BY_ENV: dict[str, Leaf] = {leaf.env: leaf for leaf in LEAVES}
BY_PATH: dict[tuple[str, ...], Leaf] = {leaf.path: leaf for leaf in LEAVES}


def value_of(settings: Settings, leaf: Leaf) -> Any:
    """Return the value of one setting."""
    value: Any = settings
    for name in leaf.path:
        value = getattr(value, name)
    return value
