"""An import-linter contract: a domain is entered from outside only through its doors."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output


class FacadeContract(Contract):
    """Modules outside a domain may import only that domain's doors.

    ``domains`` are packages, ``doors`` the module names in each that others may import (with all below them),
    ``extra_doors`` further whole modules, ``exempt`` packages that may enter anywhere.
    """

    domains: Any = fields.ListField(subfield=fields.StringField())
    doors: Any = fields.ListField(subfield=fields.StringField())
    extra_doors: Any = fields.ListField(subfield=fields.StringField(), required=False)
    exempt: Any = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Collect every import that goes through a wall."""
        del verbose
        broken = []
        for domain in self.domains:
            doors = [f"{domain}.{door}" for door in self.doors] + list(self.extra_doors or ())
            walls = [m for m in sorted({domain, *graph.find_descendants(domain)}) if not _within(m, doors)]
            insiders = [domain, *(self.exempt or ())]
            broken += [hit for imported in walls for hit in _intruders(graph, imported, insiders)]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import."""
        for importer, imported, line in check.metadata["broken"]:
            output.print_error(f"{importer}:{line} imports {imported}: go through service, errors, schemas", bold=False)


def _intruders(graph: grimp.ImportGraph, imported: str, insiders: Collection[str]) -> list[tuple[str, str, int | None]]:
    """Return (importer, imported, line) for each import of a walled module from outside."""
    hits = []
    for importer in sorted(graph.find_modules_that_directly_import(imported)):
        if not _within(importer, insiders):
            details = graph.get_import_details(importer=importer, imported=imported)
            hits.append((importer, imported, details[0]["line_number"] if details else None))
    return hits


def _within(module: str, packages: Collection[str]) -> bool:
    """Return whether a module is one of the packages or lies below one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
