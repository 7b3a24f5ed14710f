"""The values of parameters, and what a value can't do to a query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlglot
from sqlglot import exp

from carousel_sync.analysis.parameters import DIALECT, EXAMPLES, Given, Value, literal
from carousel_sync.analysis.query_file import query_named
from lambda_fn.errors import ConfigurationError

INJECTIONS = [
    "x' OR '1' = '1",
    "x'; DROP TABLE sales_history; --",
    "\\' OR 1 = 1 --",
    "'' OR '' = '",
    "x' /* :year */",
    ":month",
    "U&'\\0027'",
    "“x” ' 手",
]


def test_given_values_have_the_names_of_the_parameters() -> None:
    moment = datetime(2025, 12, 31, tzinfo=UTC)
    given = Given(tenant="a", month="2025-03", days=0, k=2, as_of=moment)
    assert given.values() == {"tenant": "a", "year": 2025, "month": 3, "days": 0, "k": 2, "as_of": moment}
    assert Given().values() == {}


@pytest.mark.parametrize("month", ["2025-13", "2025-00", "2025-1", "12-2025", "2025", "", "2025-12-01", "2025-12 OR 1"])
def test_a_bad_month_is_refused_with_an_example(month: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 2025-12") as refused:
        Given(month=month).values()
    assert repr(month) in str(refused.value)


@pytest.mark.parametrize("tenant", ["", "a#b", "a\nb", "a\x00", "x" * 129])
def test_a_tenant_that_no_sale_can_have_is_refused(tenant: str) -> None:
    with pytest.raises(ConfigurationError, match="--tenant"):
        Given(tenant=tenant).values()


@pytest.mark.parametrize(("given", "option"), [(Given(k=1), "--k 1"), (Given(days=-1), "--days -1")])
def test_a_number_that_is_too_small_is_refused(given: Given, option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        given.values()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("it's", "'it''s'"),
        (12, "12"),
        (datetime(2025, 12, 31, 1, 2, 3), "'2025-12-31 01:02:03.000 UTC'"),  # noqa: DTZ001 (an option has no zone)
        (datetime(2025, 12, 31, 1, tzinfo=timezone(timedelta(hours=2))), "'2025-12-30 23:00:00.000 UTC'"),
    ],
)
def test_literals(value: Value, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize("tenant", INJECTIONS)
def test_a_text_stays_one_literal(tenant: str) -> None:
    """The query with a hostile value differs from the query with a harmless one in that literal, and nowhere else."""
    query = query_named("average-price")
    hostile = sqlglot.parse_one(query.sql({**EXAMPLES, "tenant": tenant}), read=DIALECT)
    harmless = sqlglot.parse_one(query.sql(EXAMPLES), read=DIALECT)
    (found,) = [each for each in hostile.find_all(exp.Literal) if each.is_string]
    assert found.name == tenant
    found.replace(exp.Literal.string(EXAMPLES["tenant"]))
    assert hostile == harmless
