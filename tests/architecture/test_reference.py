"""docs/reference tells what the code does, and everything in it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest
from tools import domain_events, errors, reference

from auto_insurance.contracts import topics
from auto_insurance.infra.config.tree import LEAVES
from auto_insurance.infra.metrics.reference import catalogue
from auto_insurance.risk.features import FEATURES

rendered = functools.cache(lambda name: reference.PAGES[name]())
INDEX = reference.FOLDER.parent / "README.md"


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_what_the_code_says(name: str) -> None:
    path = reference.FOLDER / name
    assert path.exists(), f"docs/reference/{name} is missing: run `{reference.COMMAND}`"
    same = path.read_text(encoding="utf-8") == rendered(name)
    assert same, f"docs/reference/{name} has drifted from the code: run `{reference.COMMAND}`"


def test_everything_is_in_the_pages() -> None:
    pages = {name: rendered(name) for name in reference.PAGES if name.endswith(".md")}
    assert all(f"| `{leaf.env}` |" in pages["settings.md"] for leaf in LEAVES)
    assert all(f"| `{name}` |" in pages["metrics.md"] for name in catalogue())
    assert all(f"| `{row.code}` |" in pages["errors.md"] for row in errors.rows())
    assert all(f"| `{name}` |" in pages["risk-features.md"] for name in FEATURES)
    for contract in domain_events.all_contracts():
        assert all(f"`{type_}`" in pages["events.md"] for type_ in contract.types)
    assert all(f"| `{spec.name}` |" in pages["events.md"] for spec in topics.ALL)


def test_every_error_says_what_it_means_and_codes_mean_one_status() -> None:
    rows = errors.rows()
    assert len(rows) > 30
    assert [row.code for row in rows if not row.meaning] == []
    statuses = {(row.code, row.status) for row in rows}
    assert len(statuses) == len({code for code, _ in statuses})


def test_the_http_layers_own_codes_are_documented() -> None:
    known = set(errors.HTTP_CODES) | {row.code for row in errors.rows()}
    assert errors.raised_http_codes() <= known


def test_drift_is_seen_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "PAGES", {"a.md": lambda: "a", "errors.md": lambda: "e"})
    assert set(reference.drifted(tmp_path)) == set(reference.PAGES)
    assert set(reference.write(tmp_path)) == set(reference.PAGES)
    assert reference.drifted(tmp_path) == []
    (tmp_path / "errors.md").write_text("old")
    assert reference.drifted(tmp_path) == ["errors.md"]


def test_versions_are_read_from_where_events_are_published(tmp_path: Path) -> None:
    source = "def f():\n    uow.publish(topics.TRIPS, new_event(p, type=t, version=7, key=k))\n"
    ast.parse(source)
    (tmp_path / "x.py").write_text(source)
    assert domain_events.published_versions(tmp_path) == {"trips": 7}


def test_every_published_topic_is_described() -> None:
    described = {contract.topic for contract in domain_events.all_contracts()}
    assert set(domain_events.published_versions(domain_events.SOURCE)) == described


def test_the_index_leads_to_every_page() -> None:
    text = INDEX.read_text(encoding="utf-8")
    docs = INDEX.parent
    for page in [*docs.glob("concepts/*.md"), *docs.glob("reference/*")]:
        assert f"({page.relative_to(docs)})" in text, f"docs/README.md does not lead to {page.name}"
    assert "(adr/README.md)" in text
    for number in docs.glob("adr/0*.md"):
        assert f"({number.name})" in (docs / "adr" / "README.md").read_text(encoding="utf-8")
