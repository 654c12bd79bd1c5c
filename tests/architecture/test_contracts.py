"""The import contract of our own catches what it is for; the contracts themselves are `lint-imports`' business."""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest
from importlinter.domain.contract import ContractCheck
from tools.facade_contract import FacadeContract

PACKAGE = "facade_fixture"
MODULES = {
    "bootstrap": "from facade_fixture.trips import repository\n",
    "trips.__init__": "",
    "trips.service": "from facade_fixture.trips import repository\n",
    "trips.repository": "",
    "trips.schemas": "",
    "trips.deps": "",
    "risk.__init__": "",
    "risk.service": "from facade_fixture.trips import service, schemas\nfrom facade_fixture.trips import deps\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package that keeps the contract, importable."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / PACKAGE
    for name, source in {"__init__": "", **MODULES}.items():
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    sys.modules.pop(PACKAGE, None)
    return folder


def check() -> tuple[FacadeContract, ContractCheck]:
    contract = FacadeContract(
        name="facades",
        session_options={"root_packages": [PACKAGE]},
        contract_options={
            "domains": [f"{PACKAGE}.trips", f"{PACKAGE}.risk"],
            "doors": ["service", "schemas"],
            "extra_doors": [f"{PACKAGE}.trips.deps"],
            "exempt": [f"{PACKAGE}.bootstrap"],
        },
    )
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    return contract, contract.check(graph, verbose=False)


def test_doors_and_exempt_packages_are_fine(package: Path) -> None:
    _, result = check()
    assert result.kept, result.metadata
    assert package.is_dir()


@pytest.mark.parametrize(
    ("module", "planted", "imported"),
    [
        ("risk/service.py", "\nfrom facade_fixture.trips import repository\n", "trips.repository"),
        ("risk/model.py", "\nimport facade_fixture.trips.repository as r\n", "trips.repository"),
        ("other.py", "\nfrom facade_fixture.risk import scale\n", "risk.scale"),
        ("other.py", "\ndef late():\n    from facade_fixture.trips.inner import deep\n", "trips.inner.deep"),
    ],
)
def test_a_way_through_the_wall_is_seen(
    package: Path, module: str, planted: str, imported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "risk" / "scale.py").write_text("")
    (package / "trips" / "inner").mkdir()
    for name in ("__init__", "deep"):
        (package / "trips" / "inner" / f"{name}.py").write_text("")
    file = package / module
    file.write_text((file.read_text() if file.exists() else "") + planted)
    contract, result = check()
    assert not result.kept
    assert [hit[1] for hit in result.metadata["broken"]] == [f"{PACKAGE}.{imported}"]
    contract.render_broken_contract(result)
    importer = f"{PACKAGE}.{module.removesuffix('.py').replace('/', '.')}"
    assert f"{importer}:" in capsys.readouterr().out
