"""The files in queries/athena, and what is said about a query that can't run."""

from __future__ import annotations

import logging

import pytest
import sqlglot
from sqlglot import exp

from carousel_sync.analysis.parameters import DIALECT, EXAMPLES, Value
from carousel_sync.analysis.query_file import Query, UnknownQuery, prepared, queries, query_named
from lambda_fn.errors import ConfigurationError

PARTITION = {"tenant_id", "year", "month"}
ONLY_ATHENA = {"optimize": "OPTIMIZE", "vacuum": "VACUUM"}
EVERY = [pytest.param(query, id=name) for name, query in queries().items()]
READING = [pytest.param(query, id=name) for name, query in queries().items() if not query.changes_the_table]


def test_the_queries_that_exist() -> None:
    assert set(queries()) == {
        "average-price",
        "discount-effect",
        "duplicates",
        "market-comparison",
        "market-discounts",
        "market-prices",
        "market-seasons",
        "market-weeks",
        "optimize",
        "price-trend",
        "table-files",
        "table-partitions",
        "table-snapshots",
        "time-to-sell",
        "time-travel",
        "vacuum",
        "vendors",
    }
    assert {name for name, query in queries().items() if query.changes_the_table} == set(ONLY_ATHENA)


@pytest.mark.parametrize("query", EVERY)
def test_the_comment_states_the_question_the_parameters_and_the_partitions(query: Query) -> None:
    assert query.question.endswith("?")
    assert "\n" not in query.question
    assert set(query.described) == set(query.parameters) <= EXAMPLES.keys()
    assert query.reads


@pytest.mark.parametrize("query", READING)
def test_a_query_is_one_valid_statement_of_athenas_dialect(query: Query) -> None:
    (statement,) = sqlglot.parse(query.sql(EXAMPLES), read=DIALECT)
    assert isinstance(statement, exp.Query)
    assert not list(statement.find_all(exp.Placeholder, exp.Parameter, exp.Command))


@pytest.mark.parametrize(("name", "keyword"), ONLY_ATHENA.items())
def test_a_statement_that_only_athena_knows_is_one_command(
    name: str, keyword: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        (statement,) = sqlglot.parse(query_named(name).sql(EXAMPLES), read=DIALECT)
    assert isinstance(statement, exp.Command)
    assert statement.name == keyword


@pytest.mark.parametrize("query", READING)
def test_every_scan_of_the_table_names_the_partition(query: Query) -> None:
    """A SELECT from the table compares tenant, year and month with constants; one of metadata reads no partition.

    A query of all tenants and of any period compares the year and the day.
    """
    of_a_period = "first_day" in query.parameters
    expected = {"year", "sold_date"} if of_a_period else PARTITION
    statement = sqlglot.parse_one(query.sql(EXAMPLES), read=DIALECT)
    for select in statement.find_all(exp.Select):
        source = select.args["from_"].this
        if source.name == "sales_history":
            compared = {
                column.name
                for comparison in select.args["where"].find_all(exp.EQ, exp.NEQ, exp.LTE)
                for column in comparison.find_all(exp.Column)
                if isinstance(comparison.expression, exp.Literal)
            }
            compared |= {
                between.this.name
                for between in select.args["where"].find_all(exp.Between)
                if not between.args["low"].find(exp.Column) and not between.args["high"].find(exp.Column)
            }
            assert compared >= expected


def test_only_parameters_outside_of_texts_and_comments_are_replaced() -> None:
    query = Query("q", "-- What is :tenant?\n--\n-- Reads: nothing.\nSELECT ':tenant', \":k\", a::int, :tenant -- :k\n")
    assert query.parameters == ["tenant"]
    assert query.sql({"tenant": "x"}) == query.text.replace(", :tenant", ", 'x'")


def test_an_unknown_name_is_answered_with_the_names_that_exist() -> None:
    with pytest.raises(UnknownQuery) as refused:
        query_named("avg-price")
    assert "'avg-price'" in str(refused.value)
    assert all(name in str(refused.value) for name in queries())


def test_a_missing_parameter_is_named_by_its_option() -> None:
    with pytest.raises(ConfigurationError, match=r"average-price also needs --month\. It takes --tenant, --month"):
        prepared("average-price", {"tenant": "a"})
    with pytest.raises(ConfigurationError, match="also needs --as-of"):
        prepared("time-travel", {"tenant": "a", "year": 2025, "month": 12})


def test_a_parameter_that_the_query_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"does not take --k\. It takes --tenant, --month"):
        prepared("average-price", {"tenant": "a", "year": 2025, "month": 12, "k": 3})
    with pytest.raises(ConfigurationError, match=r"does not take --tenant\. It has no parameters"):
        prepared("table-files", {"tenant": "a"})


def test_a_parameter_with_a_default_need_not_be_given() -> None:
    values: dict[str, Value] = {"tenant": "a", "year": 2025, "month": 12}
    query = query_named("market-comparison")
    assert query.values(values)["k"] == 3
    assert ">= 3" in query.sql(query.values(values))
    assert ">= 5" in query.sql(query.values({**values, "k": 5}))
