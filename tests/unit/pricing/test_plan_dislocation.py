"""Who moves by how much: numbers that can be checked by hand, and that add up for any book."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.plan_dislocation import Dislocation, book_fingerprint, dislocation
from auto_insurance.pricing.plan_report import html_report
from auto_insurance.pricing.rating import RatingInputs, rate
from auto_insurance.pricing.rating_columns import of_inputs
from tests.support.plans import SHIPPED, inputs

OLD = load_plan("standard-1")


def _compare(old: RatingPlan, new: RatingPlan, book: list[RatingInputs]) -> Dislocation:
    columns = of_inputs(book)
    return dislocation((old, columns), (new, columns), [f"DRV{number:03d}" for number in range(len(book))])


def _plain(**given: object) -> RatingInputs:
    facts: dict[str, object] = {
        "rating_date": OLD.plan.effective_from, "state": "CA", "coverage": "standard", "driver_age": 40,
        "licence_years": 20, "vehicle_age": 5, "vehicle_use": "private", "annual_mileage": 10_000, "prior_claims": 0,
    }  # fmt: skip
    return msgspec.convert({**facts, **given}, RatingInputs)


def _dearer(share: str) -> RatingPlan:
    base = {state: {key: rate * Decimal(share) for key, rate in row.items()} for state, row in OLD.base.items()}
    return msgspec.structs.replace(
        OLD, plan=msgspec.structs.replace(OLD.plan, version="dearer"), base={**base, "NY": OLD.base["NY"]}
    )


def test_by_hand() -> None:
    """Two Californians at 1140.00 and 1083.00 go up by a tenth, a New Yorker at 1330.00 stays."""
    report = _compare(OLD, _dearer("1.1"), [_plain(), _plain(vehicle_age=8), _plain(state="NY")])
    assert (report.overall.old_total, report.overall.new_total) == ("3553.00", "3775.30")
    assert (report.overall.cheaper, report.overall.same, report.overall.dearer) == (0, 1, 2)
    assert (report.overall.dearer_by, report.overall.cheaper_by) == ("222.30", "0.00")
    states = {group.name: group for group in report.segments["state"]}
    assert (states["CA"].change, states["NY"].change) == (0.1, 0.0)
    assert [group.name for group in report.segments["age"]] == ["30 - 49"]
    assert {mover.key: (mover.old, mover.new) for mover in report.most_up} == {
        "DRV000": ("1140.00", "1254.00"),
        "DRV001": ("1083.00", "1191.30"),
    }
    assert report.most_down == []
    assert sum(one.policies for one in report.histogram if one.above == -0.005) == 1


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(inputs(), min_size=0, max_size=15), st.sampled_from(SHIPPED))
def test_parts_add_up_to_the_whole(book: list[RatingInputs], new: RatingPlan) -> None:
    report = _compare(OLD, new, book)
    assert report.policies + sum(report.refused.values()) >= len(book)
    assert sum(one.policies for one in report.histogram) == report.policies
    whole = report.overall
    assert whole.cheaper + whole.same + whole.dearer == report.policies
    for groups in report.segments.values():
        assert sum(group.policies for group in groups) == report.policies
        assert sum((Decimal(group.new_total) for group in groups), Decimal(0)) == Decimal(whole.new_total)
    assert Decimal(whole.old_total) == sum((rate(OLD, one).expected_annual for one in book), Decimal(0))
    assert msgspec.convert(msgspec.to_builtins(report), Dislocation) == report


def test_nobody_moves_from_a_plan_to_itself() -> None:
    report = _compare(OLD, OLD, [_plain(), _plain(state="NY")])
    assert (report.overall.same, report.overall.change) == (2, 0.0)
    assert report.most_up == report.most_down == []


def test_another_model_moves_drivers_under_the_same_plan() -> None:
    old = [_plain(telematics={"relativity": "1", "credibility": "1"})]
    new = [_plain(telematics={"relativity": "0.7", "credibility": "1"})]
    report = dislocation((OLD, of_inputs(old)), (OLD, of_inputs(new)), ["DRV001"])
    assert report.overall.change == -0.15
    assert [(mover.key, mover.change) for mover in report.most_down] == [("DRV001", -0.15)]


def test_who_is_not_rated_is_counted_with_the_reason() -> None:
    report = _compare(OLD, load_plan("standard-2"), [_plain(product="payd"), _plain()])
    assert report.policies == 1
    assert report.refused == {"standard-1: product: standard-1 rates phyd, not payd.": 1}
    assert "Not rated by one of the plans" in html_report(report, [])


def test_a_book_has_a_fingerprint_of_all_its_inputs() -> None:
    book = [_plain(), _plain(state="NY")]
    plain = book_fingerprint(of_inputs(book), ["a", "b"])
    assert book_fingerprint(of_inputs(list(book)), ["a", "b"]) == plain
    changes: list[dict[str, object]] = [
        {"prior_claims": 1}, {"state": "TX"}, {"mid_term": True}, {"choices": {"collision": "500"}},
        {"telematics": {"relativity": "1.000001"}}, {"telematics": {"relativity": "1.00000001"}}, {"postcode": "100"},
    ]  # fmt: skip
    others = {book_fingerprint(of_inputs([_plain(**change), book[1]]), ["a", "b"]) for change in changes}
    others.add(book_fingerprint(of_inputs(book), ["a", "c"]))
    assert len(others | {plain}) == len(changes) + 2


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("book", [[], [_plain()], [_plain(), _plain(state="NY"), _plain(driver_age=18)]])
def test_the_page_is_whole_and_has_its_plots(book: list[RatingInputs]) -> None:
    report = _compare(OLD, load_plan("legacy-smooth-1"), book)
    page = html_report(report, [("made", "<by somebody>")])
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("svg") == 1 + len(report.segments)
    assert "&lt;by somebody&gt;" in page
    assert "nan" not in page
