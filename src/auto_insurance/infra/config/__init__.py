"""Settings: one typed tree, flat environment names."""

from auto_insurance.infra.config.groups import DEVELOPMENT_JWT_SECRET, PREFIX, Environment
from auto_insurance.infra.config.loading import ConfigError, load_settings
from auto_insurance.infra.config.overview import SettingRow, describe
from auto_insurance.infra.config.reference import render_markdown
from auto_insurance.infra.config.sources import Problem
from auto_insurance.infra.config.tree import Settings

__all__ = [
    "DEVELOPMENT_JWT_SECRET",
    "PREFIX",
    "ConfigError",
    "Environment",
    "Problem",
    "SettingRow",
    "Settings",
    "describe",
    "load_settings",
    "render_markdown",
]
