"""Loads and checks the settings; tells all that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from auto_insurance.infra.config.groups import Environment
from auto_insurance.infra.config.rules import broken_rules
from auto_insurance.infra.config.sources import Problem, Resolved, resolve
from auto_insurance.infra.config.tree import BY_ENV, BY_PATH, LEAVES, Leaf, Settings

MASK = "********"


class ConfigError(Exception):
    """The settings can't be used; ``problems`` names every variable that is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 setting is" if len(self.problems) == 1 else f"{len(self.problems)} settings are"
        super().__init__("\n".join([f"{count} wrong:", *(f"  {problem}" for problem in self.problems)]))


def load_settings(
    env: Mapping[str, str] | None = None,
    env_dir: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings. Raises :class:`ConfigError` with everything that is wrong.

    ``env`` stands in for the process's environment, ``env_dir`` for the current folder (where ``.env.<environment>``
    is), ``overrides`` (flat names, such as ``{"DB_POOL_SIZE": 5}``) win over both.
    """
    found = resolve(env, env_dir, overrides or {})
    problems = list(found.problems)
    settings, wrong = _build(found)
    problems += wrong
    if settings is None:
        # The rules over several settings are checked without the wrong ones, so that one start tells all.
        for problem in wrong:
            found.values.pop(problem.name, None)
        settings, _ = _build(found)
    named = {problem.name for problem in problems}
    if settings is not None:
        problems += [problem for problem in broken_rules(settings) if problem.name not in named]
    if problems or settings is None:
        raise ConfigError(problems)
    settings._sources = found.sources
    settings._warnings = tuple(found.warnings)
    return settings


def _build(found: Resolved) -> tuple[Settings | None, list[Problem]]:
    values = dict(found.values)
    if values.get("ENVIRONMENT") == Environment.PRODUCTION:
        for leaf in LEAVES:
            if leaf.production is not None:
                values.setdefault(leaf.env, leaf.production)
    try:
        return Settings(**_nested(values)), []
    except ValidationError as error:
        return None, [_problem(found, item["loc"], item["msg"]) for item in error.errors()]


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = BY_ENV[name].path
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = value
    return tree


def _problem(found: Resolved, loc: tuple[int | str, ...], message: str) -> Problem:
    leaf = _leaf_at(loc)
    given = MASK if leaf.secret else repr(str(found.values.get(leaf.env)))
    expected = message[:1].lower() + message[1:]
    return Problem(leaf.env, f"{given} from {found.sources.get(leaf.env, 'default')}: {expected}")


def _leaf_at(loc: tuple[int | str, ...]) -> Leaf:
    names = tuple(str(part) for part in loc)
    return next(BY_PATH[names[:length]] for length in range(1, len(names) + 1) if names[:length] in BY_PATH)
