"""An import-linter contract: a domain is entered from outside only through its doors."""

from __future__ import annotations

import grimp
from importlinter import Contract, ContractCheck, fields, output


class FacadeContract(Contract):  # type: ignore[misc]
    """Modules outside a domain may import only that domain's doors.

    ``domains`` are packages, ``doors`` the module names in each that others may import (with all below them),
    ``extra_doors`` further whole modules, ``exempt`` packages that may enter anywhere.
    """

    domains = fields.ListField(subfield=fields.StringField())
    doors = fields.ListField(subfield=fields.StringField())
    extra_doors = fields.ListField(subfield=fields.StringField(), required=False)
    exempt = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Collect every import that goes through a wall."""
        del verbose
        broken: list[tuple[str, str, int | None]] = []
        for domain in self.domains:
            doors = {f"{domain}.{door}" for door in self.doors} | set(self.extra_doors or ())
            for imported in sorted({domain, *graph.find_descendants(domain)}):
                if _within(imported, doors):
                    continue
                for importer in sorted(graph.find_modules_that_directly_import(imported)):
                    if _within(importer, {domain, *(self.exempt or ())}):
                        continue
                    details = graph.get_import_details(importer=importer, imported=imported)
                    broken.append((importer, imported, details[0]["line_number"] if details else None))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import."""
        for importer, imported, line in check.metadata["broken"]:
            output.print_error(
                f"{importer}:{line} imports {imported}: go through service, errors or schemas", bold=False
            )


def _within(module: str, packages: set[str]) -> bool:
    """Return whether a module is one of the packages or lies below one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
