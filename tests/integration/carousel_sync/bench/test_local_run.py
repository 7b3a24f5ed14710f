"""A run against the embedded stack: each handler in its own process, and every sale verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from carousel_sync.bench.figures import Figures, Setup
from carousel_sync.bench.local_run import outcome_of, run_benchmark
from carousel_sync.consistency.compare import for_people, name_of, sale_of_item
from carousel_sync.local_stack.stack import LocalStack

SALES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def figures(stack: LocalStack, folder: Path) -> Figures:
    setup = Setup(events=50, concurrency=2, batch_size=20, embedding=8, duplicates=0.2, seed=20_261_122)
    return run_benchmark(setup, stack.target(), folder)


def test_every_sale_has_one_row_and_one_item(figures: Figures) -> None:
    assert figures.outcome.exactly_once
    assert figures.outcome.sales == SALES
    assert (figures.tally.settled, figures.tally.abandoned) == (50, 0)
    assert figures.errors == []


def test_the_figures_of_a_run(figures: Figures) -> None:
    tally = figures.tally
    assert len(tally.invocations) >= 3
    assert 1 <= figures.outcome.commits <= 3
    assert figures.outcome.data_files >= figures.outcome.commits
    assert figures.outcome.snapshot_bytes > 0
    assert figures.log_bytes_per_batch > 0
    # Each commit uploads at least a data file, a manifest and a manifest list.
    assert figures.requests["s3 PUT"] >= 3 * figures.outcome.commits
    assert figures.requests["dynamodb BatchExecuteStatement"] >= 3
    assert figures.requests["catalog POST"] >= figures.outcome.commits
    assert min(figures.seconds) > 0
    assert figures.cost_of_a_million().usd > 0


def test_a_sale_that_is_not_stored_is_detected(stack: LocalStack, figures: Figures) -> None:
    """The control: the same run, expecting one sale more than was delivered."""
    target = stack.target()
    table = target.load_table()
    names = figures.outcome.names
    assert outcome_of(target, names, table, table).exactly_once
    assert not outcome_of(target, names | {"tenant#never-delivered"}, table, table).exactly_once


def test_a_missing_item_is_detected(stack: LocalStack, figures: Figures) -> None:
    """The control: the same run after one of its items was deleted. The item is restored."""
    target = stack.target()
    client, projection, table = target.client("dynamodb"), target.settings.projection_table, target.load_table()
    pages = client.get_paginator("scan").paginate(TableName=projection, ConsistentRead=True)
    stored = (item for page in pages for item in page["Items"])
    item = next(item for item in stored if name_of(sale_of_item(item).key) in figures.outcome.names)
    client.delete_item(TableName=projection, Key={name: item[name] for name in ("PK", "SK")})
    try:
        outcome = outcome_of(target, figures.outcome.names, table, table)
    finally:
        client.put_item(TableName=projection, Item=item)
    assert not outcome.exactly_once
    assert outcome.report.missing_items == [for_people(name_of(sale_of_item(item).key))]
