"""Evolving a table in every catalog: each operation once, despite crashes, repeats, competition and writers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.types import LongType, StringType

from catalog_config.drift import Difference, DifferenceType, find_drift
from catalog_config.provision import ensure_table
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from schemas.evolution.apply import ATTEMPTS, evolve
from schemas.evolution.column_operations import AddColumn, DeleteColumn, MoveColumn, RenameColumn, WidenColumn
from schemas.evolution.columns import FIRST
from schemas.evolution.errors import CommitConflict, OperationRefused
from schemas.evolution.migration import Migration, Position, definition_at, load_migrations, position_of
from schemas.evolution.table_definition import definition_of
from schemas.evolution.table_operations import RemovePartitionField, SetProperty, SetSortOrder
from tests.builders import sale
from tests.catalogs import Fault, answer_lost, answered, faulty, first_do, never_sent
from tests.tables import TableUnderTest, provisioned

NEWEST = len(load_migrations())
STEPS = 4


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


@pytest.fixture
def old_table(table: TableUnderTest) -> TableUnderTest:
    return provisioned(table.config, to=1)


def is_up_to_date(table: TableUnderTest) -> bool:
    """Whether the table is what the migrations make of a new table, and each operation was committed once."""
    metadata = table.load().metadata
    expected = definition_at(load_migrations(), Position(NEWEST))
    table_definition = definition_of(metadata)
    return (
        not find_drift(metadata)
        and position_of(table_definition) == Position(NEWEST)
        and [str(field) for field in table_definition.schema.fields] == [str(field) for field in expected.schema.fields]
        and len(table_definition.schemas) == len(expected.schemas)
        and len([order for order in table_definition.sort_orders if order.fields]) == 1
    )


def crash(_: Callable[[], object]) -> object:
    raise KeyboardInterrupt


@pytest.mark.parametrize("fault", [crash, never_sent, answer_lost], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("commits_before", range(STEPS))
def test_an_interrupted_evolution_continues_where_it_stopped(
    old_table: TableUnderTest, fault: Fault, commits_before: int
) -> None:
    catalog = faulty(*[answered] * commits_before, fault)(old_table.catalog())
    with pytest.raises((KeyboardInterrupt, OSError)):
        evolve(catalog, old_table.load())
    reached = position_of(definition_of(old_table.load().metadata))
    assert reached != Position(NEWEST) or (fault is answer_lost and commits_before == STEPS - 1)
    assert not find_drift(old_table.load().metadata), "a half-done migration is not drift"
    old_table.writer().begin(1, soon()).append([sale()], (), soon())
    remaining = evolve(old_table.catalog(), old_table.load())
    assert len(remaining) == STEPS - commits_before - (fault is answer_lost)
    assert is_up_to_date(old_table)
    assert evolve(old_table.catalog(), old_table.load()) == []


@pytest.mark.parametrize("commits_before", range(STEPS))
def test_the_second_of_two_finds_the_operations_done(old_table: TableUnderTest, commits_before: int) -> None:
    other = first_do(lambda: evolve(old_table.catalog(), old_table.load()))
    catalog = faulty(*[answered] * commits_before, other)(old_table.catalog())
    assert len(evolve(catalog, old_table.load(), pause=lambda _: None)) == commits_before
    assert is_up_to_date(old_table)


def test_four_people_at_once(old_table: TableUnderTest) -> None:
    with ThreadPoolExecutor(4) as people:
        done = list(people.map(lambda _: evolve(old_table.catalog(), old_table.load()), range(4)))
    assert sum(map(len, done)) == STEPS
    assert is_up_to_date(old_table)


def test_a_writer_commits_between_and_during_the_operations(old_table: TableUnderTest) -> None:
    writer = old_table.writer()
    attempts = iter(range(1, 100))

    def write() -> None:
        number = next(attempts)
        answer = writer.begin(number, soon()).append([sale(sale_id=f"sale-{number}")], (), soon())
        assert isinstance(answer, Landed)

    write()
    catalog = faulty(*[first_do(write)] * STEPS)(old_table.catalog())
    assert len(evolve(catalog, old_table.load(), step_done=lambda _: write())) == STEPS
    write()
    assert is_up_to_date(old_table)
    assert len(old_table.sale_ids()) == len(set(old_table.sale_ids())) == 2 + 2 * STEPS


def test_nothing_is_changed_when_a_later_operation_is_refused(sqlite_table: TableUnderTest) -> None:
    before = sqlite_table.load().metadata_location
    unsafe = Migration("why.", [AddColumn(26, "a", StringType()), AddColumn(26, "b", StringType())], NEWEST + 1, "x")
    with pytest.raises(OperationRefused, match="the id 26 is or was the column a"):
        ensure_table(sqlite_table.catalog(), *sqlite_table.identifier, migrations=[*load_migrations(), unsafe])
    assert sqlite_table.load().metadata_location == before


def test_evolution_gives_up_after_many_conflicts(old_table: TableUnderTest) -> None:
    attempts = []

    def refused(_: Callable[[], object]) -> object:
        attempts.append(1)
        raise CommitFailedException("somebody else committed")

    with pytest.raises(CommitConflict, match="somebody else committed"):
        evolve(faulty(*[refused] * 2 * ATTEMPTS)(old_table.catalog()), old_table.load(), pause=lambda _: None)
    assert len(attempts) == ATTEMPTS


def test_every_operation_produces_the_planned_definition(table: TableUnderTest) -> None:
    everything = Migration(
        "why.",
        [
            AddColumn(26, "channel", StringType(), after=FIRST, doc="where it was sold"),
            RenameColumn(6, "state"),
            WidenColumn(16, LongType()),
            MoveColumn(7, 4),
            DeleteColumn(22),
            SetProperty("write.target-file-size-bytes", "1000000"),
            RemovePartitionField("month"),
        ],
        NEWEST + 1,
        "everything",
    )
    migrations = [*load_migrations(), everything]
    done = evolve(table.catalog(), table.load(), migrations=migrations)
    assert [step.operation for step in done] == list(everything.operations)
    assert not find_drift(table.load().metadata, migrations)
    assert definition_of(table.load().metadata).properties["write.target-file-size-bytes"] == "1000000"
    # This code does not know that migration, so the table is ahead and is left as it is.
    before = table.load().metadata_location
    assert not ensure_table(table.catalog(), *table.identifier).changed
    assert table.load().metadata_location == before
    columns = table.load().schema().fields
    assert (columns[0].name, columns[0].field_id) == ("channel", 26)
    described = sale(sale_id="still written", days_to_sell=3, vendor_id=None)
    assert table.writer().begin(1, soon()).append([described], (), soon()) == Landed(1)
    (row,) = table.load().scan().to_arrow().to_pylist()
    assert (row["channel"], row["days_to_sell"], row["state"]) == (None, 3, described.condition)


def test_drift_is_found_column_by_column(sqlite_table: TableUnderTest) -> None:
    sqlite_table.alter(
        AddColumn(30, "extra", StringType()),
        DeleteColumn(7),
        RenameColumn(5, "label"),
        RemovePartitionField("month"),
        SetSortOrder([(1, "desc")]),
        SetProperty("write.parquet.compression-codec", "snappy"),
        SetProperty("write.metadata.metrics.default", None),
    )
    extra, changed, missing, spec, order, *properties = find_drift(sqlite_table.load().metadata)
    assert extra == Difference(DifferenceType.UNKNOWN_COLUMN, "extra", None, "optional string", 30)
    assert missing == Difference(DifferenceType.MISSING_COLUMN, "description", "optional string", None, 7)
    wanted, found = "brand: required string", "label: required string"
    assert changed == Difference(DifferenceType.CHANGED_COLUMN, "brand", wanted, found, 5)
    assert (spec.type, order.type) == (DifferenceType.PARTITION_SPEC, DifferenceType.SORT_ORDER)
    assert properties == [
        Difference(DifferenceType.PROPERTY, "write.parquet.compression-codec", "zstd", "snappy"),
        Difference(DifferenceType.PROPERTY, "write.metadata.metrics.default", "truncate(16)", None),
    ]
    assert [each.prevents_writes for each in (extra, missing, changed, spec, order)] == [False, True, True, True, False]
