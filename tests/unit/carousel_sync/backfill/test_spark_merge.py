"""How the backfill through Spark groups months, and what its MERGE says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.backfill.spark.job import check_isolation, check_versions
from carousel_sync.backfill.spark.merge import (
    Month,
    chunks_of,
    in_months,
    is_conflict,
    session_settings,
    statement,
)
from lambda_fn.errors import ConfigurationError
from lambda_fn.iceberg.history import snapshot_node

MONTHS = st.dictionaries(
    st.builds(Month, st.integers(2000, 2030), st.integers(1, 12)), st.integers(1, 500), max_size=40
)


@given(MONTHS, st.integers(1, 1000))
def test_chunks_have_every_month_once_and_in_order(sales: dict[Month, int], limit: int) -> None:
    chunks = list(chunks_of(sales.items(), limit))
    assert [month for chunk in chunks for month in chunk.months] == sorted(sales)
    for chunk in chunks:
        assert chunk.sales == sum(sales[month] for month in chunk.months)
        assert chunk.sales <= limit or len(chunk.months) == 1


def test_the_condition_has_literals_of_the_target_only() -> None:
    months = [Month(2024, 12), Month(2025, 2), Month(2025, 1)]
    assert in_months(months, "t") == ("((t.year = 2024 AND t.month IN (12)) OR (t.year = 2025 AND t.month IN (1, 2)))")
    assert in_months([Month(2024, 12)]) == "((year = 2024 AND month IN (12)))"


def test_a_merge_joins_by_identity_and_names_every_column() -> None:
    text = statement("lake.n.sales", "source", ["tenant_id", "sale_id"], [Month(2024, 12)])
    assert text == (
        "MERGE INTO lake.n.sales t USING source s "
        "ON ((t.year = 2024 AND t.month IN (12))) AND t.tenant_id = s.tenant_id AND t.sale_id = s.sale_id "
        "WHEN MATCHED AND false THEN UPDATE SET sale_id = t.sale_id "
        "WHEN NOT MATCHED THEN INSERT (`tenant_id`, `sale_id`) VALUES (s.`tenant_id`, s.`sale_id`)"
    )


def test_the_snapshot_lands_the_attempt_fences_earlier_ones_and_is_marked() -> None:
    prefix = "spark.sql.iceberg.snapshot-property."
    settings = session_settings(7, [9, 8])
    summary = {name.removeprefix(prefix): value for name, value in settings.items()}
    assert all(name.startswith(prefix) for name in settings)
    node = snapshot_node(1, None, 1, summary)
    assert (node.landed, node.fenced, node.backfill) == (frozenset({7}), frozenset({8, 9}), True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: org.apache.iceberg.exceptions.ValidationException: Found conflicting files", True),
        ("x: org.apache.iceberg.exceptions.CommitFailedException: Requirement failed", True),
        ("x: org.apache.iceberg.exceptions.CommitStateUnknownException: timeout", True),
        ("x: org.apache.iceberg.exceptions.ForbiddenException: denied", False),
    ],
)
def test_only_races_and_lost_answers_are_tried_again(text: str, expected: bool) -> None:
    assert is_conflict(RuntimeError(text)) is expected


@pytest.mark.parametrize(
    ("spark", "iceberg", "refused"),
    [
        ("4.0.5", "1.11.0", ""),
        ("4.1.1-amzn-0", "1.12.1-amzn", ""),
        ("3.5.6", "1.11.0", "Spark is 3.5.6"),
        ("4.0.1", "1.10.0-amzn-1", "Iceberg is 1.10.0"),
    ],
)
def test_versions_that_do_not_write_the_properties_of_a_merge_are_refused(
    spark: str, iceberg: str, refused: str
) -> None:
    build = SimpleNamespace(IcebergBuild=SimpleNamespace(version=lambda: iceberg))
    jvm = SimpleNamespace(org=SimpleNamespace(apache=SimpleNamespace(iceberg=build)))
    session: Any = SimpleNamespace(version=spark, _jvm=jvm)
    if refused:
        with pytest.raises(ConfigurationError, match=refused):
            check_versions(session)
    else:
        check_versions(session)


def test_a_table_whose_merges_are_not_serializable_is_refused() -> None:
    check_isolation({})
    check_isolation({"write.merge.isolation-level": "serializable"})
    with pytest.raises(ConfigurationError, match="isolation-level is snapshot"):
        check_isolation({"write.merge.isolation-level": "snapshot"})
