from __future__ import annotations

from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

from auto_insurance.policies.documents import Page, Row, Section, amount, day, render

EVIL = '<script>alert("x")</script> & $body'


class Reader(HTMLParser):
    """Collects tags and text, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(text: str) -> Page:
    section = Section(
        heading=text,
        paragraphs=(text,),
        caption=text,
        columns=(text, "Amount"),
        rows=(Row(text, (Decimal("-1234.5"),)), Row(text, (text,))),
        points=(text,),
    )
    return Page(title=text, subtitle=text, sections=(section,), footer=text)


def test_whatever_is_in_a_page_is_text() -> None:
    html = render(_page(EVIL))
    reader = Reader()
    reader.feed(html)
    assert "script" not in reader.tags
    assert not reader.open, "every tag is closed"
    assert reader.text.count(EVIL) == 12


def test_a_page_can_be_read_aloud_and_printed() -> None:
    html = render(_page("Plain"))
    for wanted in ('<html lang="en">', "<main>", '<th scope="row">', '<th scope="col"', "<caption>", "@media print"):
        assert wanted in html
    assert 'aria-labelledby="part-1"' in html
    assert "−1,234.50" in html
    assert html.count("<h1>") == 1


def test_amounts_and_days_for_people() -> None:
    assert amount(Decimal("1234.5"), "USD") == "USD 1,234.50"
    assert amount(Decimal("-0.5"), "USD") == "−USD 0.50"
    assert day(date(2026, 3, 1)) == "March 1, 2026"


def test_a_section_may_be_short() -> None:
    html = render(Page(title="T", subtitle="", sections=(Section(heading="H"),), footer=""))
    assert "<table>" not in html
    assert "<ul>" not in html
