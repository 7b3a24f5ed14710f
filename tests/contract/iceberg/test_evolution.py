"""Bringing a table up to date, over every catalog: once, whoever crashes, repeats or competes, while writers commit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.types import LongType, StringType

from catalog_config.provision import ensure_table
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from schemas.evolution.apply import ATTEMPTS, OthersWereFaster, drift, evolve
from schemas.evolution.column_operations import AddColumn, DeleteColumn, MoveColumn, RenameColumn, WidenColumn
from schemas.evolution.migration import Migration, Position, expected_shape, load_migrations, position_of
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import shape_of
from schemas.evolution.shape_columns import FIRST
from schemas.evolution.table_operations import RemovePartitionField, SetProperty
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
    """Whether the table is what the migrations make of a new one, and each of their commits was done once."""
    metadata = table.load().metadata
    wanted = expected_shape(load_migrations(), Position(NEWEST))
    present = shape_of(metadata)
    return (
        not drift(metadata).any
        and position_of(present) == Position(NEWEST)
        and [str(one) for one in present.schema.fields] == [str(one) for one in wanted.schema.fields]
        and len(present.schemas) == len(wanted.schemas)
        and len([order for order in present.sort_orders if order.fields]) == 1
    )


def crash(_: Callable[[], object]) -> object:
    raise KeyboardInterrupt


@pytest.mark.parametrize("fault", [crash, never_sent, answer_lost], ids=lambda one: one.__name__)
@pytest.mark.parametrize("commits_before", range(STEPS))
def test_what_was_interrupted_goes_on_where_it_stopped(
    old_table: TableUnderTest, fault: Fault, commits_before: int
) -> None:
    catalog = faulty(*[answered] * commits_before, fault)(old_table.catalog())
    with pytest.raises((KeyboardInterrupt, OSError)):
        evolve(catalog, old_table.load())
    reached = position_of(shape_of(old_table.load().metadata))
    assert reached != Position(NEWEST) or (fault is answer_lost and commits_before == STEPS - 1)
    assert not drift(old_table.load().metadata).any, "half-way is a place that the migrations know"
    old_table.writer().begin(1, soon()).append([sale()], (), soon())
    left = evolve(old_table.catalog(), old_table.load())
    assert len(left) == STEPS - commits_before - (fault is answer_lost)
    assert is_up_to_date(old_table)
    assert evolve(old_table.catalog(), old_table.load()) == []


@pytest.mark.parametrize("commits_before", range(STEPS))
def test_who_comes_second_finds_it_done(old_table: TableUnderTest, commits_before: int) -> None:
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
    with pytest.raises(Refused, match="the id 26 is or was the column a"):
        ensure_table(sqlite_table.catalog(), *sqlite_table.identifier, migrations=[*load_migrations(), unsafe])
    assert sqlite_table.load().metadata_location == before


def test_it_gives_up_after_many_tries_and_says_so(old_table: TableUnderTest) -> None:
    tries = []

    def refused(_: Callable[[], object]) -> object:
        tries.append(1)
        raise CommitFailedException("somebody else committed")

    with pytest.raises(OthersWereFaster, match="somebody else committed"):
        evolve(faulty(*[refused] * 2 * ATTEMPTS)(old_table.catalog()), old_table.load(), pause=lambda _: None)
    assert len(tries) == ATTEMPTS


def test_every_kind_of_operation_leads_to_what_was_planned(table: TableUnderTest) -> None:
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
    found = [*load_migrations(), everything]
    done = evolve(table.catalog(), table.load(), migrations=found)
    assert [step.operation for step in done] == list(everything.operations)
    assert not drift(table.load().metadata, found).any
    assert shape_of(table.load().metadata).properties.items() >= {"write.target-file-size-bytes": "1000000"}.items()
    # To this code, which does not know that migration, the table is ahead: it leaves everything as it is.
    before = table.load().metadata_location
    assert not ensure_table(table.catalog(), *table.identifier).changed
    assert table.load().metadata_location == before
    listed = table.load().schema().fields
    assert (listed[0].name, listed[0].field_id) == ("channel", 26)
    described = sale(sale_id="still written", days_to_sell=3, vendor_id=None)
    assert table.writer().begin(1, soon()).append([described], (), soon()) == Landed(1)
    (row,) = table.load().scan().to_arrow().to_pylist()
    assert (row["channel"], row["days_to_sell"], row["state"]) == (None, 3, described.condition)


def test_drift_is_told_column_by_column(sqlite_table: TableUnderTest) -> None:
    sqlite_table.alter(
        AddColumn(30, "extra", StringType()),
        DeleteColumn(7),
        RenameColumn(5, "label"),
        RemovePartitionField("month"),
        SetProperty("write.parquet.compression-codec", "snappy"),
    )
    found = drift(sqlite_table.load().metadata)
    assert [one.split(":")[0] for one in found.unknown_columns] == ["30"]
    assert [one.split(":")[0] for one in found.missing_columns] == ["7"]
    assert [one.split(":")[0] for one in found.different_columns] == ["'5"]
    assert found.other[0].startswith("partitions")
    assert found.properties == ("write.parquet.compression-codec is snappy instead of zstd",)
