"""The table of sales, on every catalog: an attempt is one snapshot, which lands once or not at all."""

from __future__ import annotations

from array import array
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.types import StringType

from lambda_fn.errors import StoreUnavailable, TableMissing
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import NO_SNAPSHOT, Claimed, GiveUp, Landed, NotKnownToHaveLanded, Resolution, SalesTable
from lambda_fn.runtime.retry import Deadline, SystemClock
from schemas.evolution.column_operations import AddColumn
from schemas.sales_history import EMBEDDING_ELEMENT_ID
from tests.builders import sale
from tests.catalogs import Files, Held, answer_lost, faulty, first_do, never_sent
from tests.fakes.clock import FakeClock
from tests.tables import REQUEST_SECONDS, TABLE, TableUnderTest

SALE_ID_FIELD = 3
MANIFEST_AND_LIST = 2


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


def land(writer: SalesTable, attempt_id: int, *sale_ids: str, fenced: tuple[int, ...] = ()) -> object:
    sales = [sale(sale_id=sale_id) for sale_id in sale_ids]
    return writer.begin(attempt_id, soon()).append(sales, fenced, soon())


def test_an_attempt_commits_a_snapshot_with_its_own_id(table: TableUnderTest) -> None:
    writer = table.writer()
    attempt = writer.begin(7001, soon())
    assert attempt.pin == NO_SNAPSHOT
    assert attempt.append([sale(sale_id="a")], (), soon()) == Landed(7001)
    assert writer.begin(7002, soon()).pin == 7001
    loaded = table.load()
    assert loaded.metadata.current_snapshot_id == 7001
    assert table.sale_ids() == ["a"]


def test_every_column_reads_back_unchanged(table: TableUnderTest) -> None:
    full = sale(
        sale_id="full",
        listed_price=Decimal("12345678901234.5678"),
        sold_price=Decimal("0.0001"),
        sold_date=date(2024, 2, 29),
        recorded_at=datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
        condition="like_new",
        description="ø漢\n",
        vendor_id="vendor",
        image_s3_key="s3://images/a.jpg",
        embedding_id="embedding",
        days_to_sell=12,
        embedding=array("f", [0.5, -0.0, 1e-45, 3.4e38]),
        currency="EUR",
    )
    bare = sale(sale_id="bare", sold_date=date(2024, 2, 29), listed_price=Decimal(0))
    table.writer().begin(1, soon()).append([full, bare], (), soon())
    rows = {row["sale_id"]: row for row in table.load().scan().to_arrow().to_pylist()}
    row = rows["full"]
    assert full.embedding is not None
    assert row == {
        "product_id": full.product_id,
        "tenant_id": full.tenant_id,
        "sale_id": "full",
        "category": full.category,
        "brand": full.brand,
        "condition": full.condition,
        "description": "ø漢\n",
        "listed_price": Decimal("12345678901234.5678"),
        "sold_price": Decimal("0.0001"),
        "currency": "EUR",
        "discount_percent": full.discount_percent,
        "sold_date": date(2024, 2, 29),
        "quarter": "Q1",
        "year": 2024,
        "month": 2,
        "season": "Q1",
        "days_to_sell": 12,
        "image_s3_key": full.image_s3_key,
        "embedding_id": full.embedding_id,
        "embedding_dimension": len(full.embedding),
        "embedding_vector": full.embedding.tolist(),
        "source_system": "carousel",
        "vendor_id": full.vendor_id,
        "ingestion_timestamp": datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
    }
    absent = {name for name, value in rows["bare"].items() if value is None}
    assert absent == {
        "condition",
        "description",
        "discount_percent",
        "days_to_sell",
        "image_s3_key",
        "embedding_id",
        "embedding_dimension",
        "embedding_vector",
        "vendor_id",
        "currency",
    }


def test_a_batch_is_one_snapshot_with_a_file_for_each_partition(table: TableUnderTest) -> None:
    sales = [
        sale(sale_id=f"{tenant}-{month}-{number}", tenant_id=tenant, sold_date=date(2025, month, 3))
        for tenant in ("tenant-1", "tenant-2")
        for month in (1, 2)
        for number in range(3)
    ]
    table.writer().begin(1, soon()).append(sales, (), soon())
    loaded = table.load()
    assert len(loaded.metadata.snapshots) == 1
    assert len(list(loaded.scan().plan_files())) == 4
    pruned = list(loaded.scan("tenant_id = 'tenant-2' and year = 2025 and month = 1").plan_files())
    assert [task.file.record_count for task in pruned] == [3]
    head = loaded.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.additional_properties["total-records"] == "12"


def test_every_column_except_the_embedding_has_statistics(table: TableUnderTest) -> None:
    long_id = "SALE-1767052800000-abcd1234"
    table.writer().begin(1, soon()).append([sale(sale_id=long_id)], (), soon())
    (task,) = table.load().scan().plan_files()
    file = task.file
    assert from_bytes(StringType(), file.lower_bounds[SALE_ID_FIELD]) == long_id
    assert from_bytes(StringType(), file.upper_bounds[SALE_ID_FIELD]) == long_id
    columns = set(range(1, 24)) - {20} | {25}
    assert columns <= file.null_value_counts.keys()
    assert EMBEDDING_ELEMENT_ID not in file.lower_bounds.keys() | file.null_value_counts.keys()


def test_a_writer_with_an_old_pin_commits_on_the_new_head(table: TableUnderTest) -> None:
    early, late = table.writer(), table.writer()
    attempt = late.begin(2, soon())
    assert land(early, 1, "a") == Landed(1)
    assert attempt.append([sale(sale_id="b")], (), soon()) == Landed(2, conflicts=1)
    assert table.sale_ids() == ["a", "b"]
    assert [snapshot.snapshot_id for snapshot in table.load().metadata.snapshots] == [1, 2]


def test_a_commit_whose_response_is_lost_is_found_in_the_history(table: TableUnderTest) -> None:
    assert land(table.writer(faulty(answer_lost)), 1, "a") == Landed(1, conflicts=1)
    assert table.sale_ids() == ["a"]


def test_a_commit_whose_response_is_lost_is_found_behind_another_commit(table: TableUnderTest) -> None:
    other = table.writer()

    def lost_behind_another(commit: object) -> object:
        assert callable(commit)
        commit()
        land(other, 2, "b")
        return never_sent(commit)

    assert land(table.writer(faulty(lost_behind_another)), 1, "a") == Landed(1, conflicts=1)
    assert table.sale_ids() == ["a", "b"]


def test_a_commit_request_that_never_arrived_is_sent_again(table: TableUnderTest) -> None:
    assert land(table.writer(faulty(never_sent, never_sent)), 1, "a") == Landed(1, conflicts=2)
    assert table.sale_ids() == ["a"]


def test_a_commit_request_that_arrives_late_is_refused(table: TableUnderTest) -> None:
    held = Held()
    assert land(table.writer(faulty(held)), 1, "a") == Landed(1, conflicts=1)
    with pytest.raises(Exception, match=r"(?s).+"):
        held.deliver()
    assert table.sale_ids() == ["a"]


def test_a_fenced_attempt_gives_up_in_append(table: TableUnderTest) -> None:
    stalled = table.writer().begin(1, soon())
    assert land(table.writer(), 2, "a", fenced=(1,)) == Landed(2)
    assert stalled.append([sale(sale_id="a")], (), soon()) == NotKnownToHaveLanded(GiveUp.FENCED, conflicts=1)
    assert table.sale_ids() == ["a"]


def test_a_fenced_attempt_gives_up_in_resolve(table: TableUnderTest) -> None:
    stalled = table.writer().begin(1, soon())
    land(table.writer(), 2, "a", fenced=(1,))
    claim = Claimed(sale(sale_id="z"), base=NO_SNAPSHOT, earlier_attempts=(9,))
    assert stalled.resolve([claim], [], soon()) is GiveUp.FENCED


def test_an_attempt_gives_up_if_the_attempt_that_it_fences_lands_first(table: TableUnderTest) -> None:
    stalled = table.writer().begin(1, soon())
    wakes = first_do(lambda: stalled.append([sale(sale_id="a")], (), soon()))
    result = land(table.writer(faulty(wakes)), 2, "a", fenced=(1,))
    assert result == NotKnownToHaveLanded(GiveUp.EARLIER_ATTEMPT_LANDED, conflicts=1)
    assert table.sale_ids() == ["a"]


def test_resolve_finds_the_sales_that_an_earlier_attempt_landed(table: TableUnderTest) -> None:
    land(table.writer(), 1, "a")
    land(table.writer(), 2, "b")
    claims = [
        Claimed(sale(sale_id="a"), base=NO_SNAPSHOT, earlier_attempts=(1,)),
        Claimed(sale(sale_id="b"), base=1, earlier_attempts=(5, 2)),
        Claimed(sale(sale_id="c"), base=1, earlier_attempts=(6,)),
    ]
    resolution = table.writer().begin(3, soon()).resolve(claims, [], soon())
    assert resolution == Resolution({claims[0].sale.key: 1, claims[1].sale.key: 2})


def test_resolve_requires_the_row_even_if_an_earlier_attempt_landed(table: TableUnderTest) -> None:
    land(table.writer(), 1, "a")
    claims = [Claimed(sale(sale_id=name), base=NO_SNAPSHOT, earlier_attempts=(1,)) for name in ("a", "not carried")]
    resolution = table.writer().begin(2, soon()).resolve(claims, [], soon())
    assert resolution == Resolution({claims[0].sale.key: 1})


def test_resolve_scans_if_the_history_does_not_reach_the_base(table: TableUnderTest) -> None:
    land(table.writer(), 1, "a", "x")
    land(table.writer(), 2, "b")
    expired = 424242
    claims = [Claimed(sale(sale_id=sale_id), base=expired, earlier_attempts=(77,)) for sale_id in ("a", "b", "c")]
    resolution = table.writer().begin(3, soon()).resolve(claims, [], soon())
    assert resolution == Resolution({claims[0].sale.key: None, claims[1].sale.key: None})


def test_resolve_scans_the_partition_of_each_sale_past_retention(table: TableUnderTest) -> None:
    old = sale(sale_id="same", tenant_id="tenant-1", sold_date=date(2001, 5, 5))
    elsewhere = sale(sale_id="same", tenant_id="tenant-2", sold_date=date(2001, 5, 5))
    table.writer().begin(1, soon()).append([old], (), soon())
    resolution = table.writer().begin(2, soon()).resolve([], [old, elsewhere], soon())
    assert resolution == Resolution({old.key: None})


def test_a_column_that_the_code_does_not_know_is_null(table: TableUnderTest) -> None:
    writer = table.writer()
    attempt = writer.begin(1, soon())
    table.alter(AddColumn(26, "added_later", StringType()))
    assert attempt.append([sale(sale_id="old schema")], (), soon()) == Landed(1, conflicts=1)
    assert land(table.writer(), 2, "new schema") == Landed(2)
    rows = table.load().scan().to_arrow().to_pylist()
    assert {row["sale_id"]: row["added_later"] for row in rows} == {"old schema": None, "new schema": None}


def test_the_error_for_a_missing_table_names_it_and_the_command_that_creates_it(sqlite_table: TableUnderTest) -> None:
    missing = TableUnderTest(sqlite_table.config, "nowhere")
    with pytest.raises(TableMissing, match=rf"nowhere\.{TABLE}.*carousel-sync evolve apply"):
        missing.writer().begin(1, soon())


def test_an_unreachable_catalog_is_not_reported_as_a_missing_table(sqlite_table: TableUnderTest) -> None:
    def unreachable(_: object) -> object:
        raise ConnectionRefusedError("nobody is listening")

    writer = sqlite_table.writer(unreachable)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="could not be loaded"):
        writer.begin(1, soon())


def test_the_first_load_may_take_one_request_more(sqlite_table: TableUnderTest) -> None:
    store = sqlite_table.store()
    assert store.load_seconds == 2 * REQUEST_SECONDS
    store.load()
    assert store.load_seconds == REQUEST_SECONDS


def test_an_append_stops_at_the_deadline(sqlite_table: TableUnderTest) -> None:
    writer = sqlite_table.writer()
    attempt = writer.begin(1, soon())
    result = attempt.append([sale(sale_id="a")], (), Deadline.after(SystemClock(), 1))
    assert result == NotKnownToHaveLanded(GiveUp.OUT_OF_TIME)
    assert sqlite_table.sale_ids() == []


def test_a_prepared_append_uploads_nothing_more(table: TableUnderTest) -> None:
    files = Files(FakeClock())
    attempt = table.writer(files).begin(1, soon())
    sales = [sale(sale_id="a"), sale(sale_id="b", tenant_id="other")]
    attempt.prepare(sales, soon())
    assert len(files.uploaded) == len(sales) + MANIFEST_AND_LIST
    assert attempt.append(sales, (), soon()) == Landed(1)
    assert len(files.uploaded) == len(sales) + MANIFEST_AND_LIST
    assert table.sale_ids() == ["a", "b"]


def test_the_append_uploads_what_prepare_could_not(table: TableUnderTest) -> None:
    files = Files(FakeClock(), failing=2)
    attempt = table.writer(files).begin(1, soon())
    sales = [sale(sale_id="a"), sale(sale_id="b", tenant_id="other")]
    attempt.prepare(sales, soon())
    assert not files.uploaded
    attempt.prepare(sales, soon())
    assert not files.uploaded
    assert attempt.append(sales, (), soon()) == Landed(1)
    assert table.sale_ids() == ["a", "b"]


def test_a_reload_of_the_same_head_does_not_read_its_manifests_again(table: TableUnderTest) -> None:
    files = Files(FakeClock())
    writer = table.writer(files)
    assert land(writer, 1, "a") == Landed(1)
    attempt = writer.begin(2, soon())
    new = sale(sale_id="b")
    assert attempt.resolve([Claimed(new, attempt.pin, (99,))], [], soon()) == Resolution()
    assert attempt.append([new], (99,), soon()) == Landed(2)
    assert files.read == []
    assert table.sale_ids() == ["a", "b"]


def test_an_append_carries_its_own_sales_if_others_were_prepared(table: TableUnderTest) -> None:
    attempt = table.writer().begin(1, soon())
    attempt.prepare([sale(sale_id="a"), sale(sale_id="b")], soon())
    assert attempt.append([sale(sale_id="b")], (), soon()) == Landed(1)
    assert table.sale_ids() == ["b"]


def test_a_prepared_append_commits_on_the_head_of_another_writer(table: TableUnderTest) -> None:
    attempt = table.writer().begin(2, soon())
    attempt.prepare([sale(sale_id="b")], soon())
    assert land(table.writer(), 1, "a") == Landed(1)
    assert attempt.append([sale(sale_id="b")], (), soon()) == Landed(2, conflicts=1)
    assert table.sale_ids() == ["a", "b"]


def test_uploads_stop_while_there_is_time_for_the_commit_and_its_judgement(sqlite_table: TableUnderTest) -> None:
    clock = FakeClock()
    files = Files(clock, seconds=REQUEST_SECONDS)
    given_seconds = 8 * REQUEST_SECONDS
    attempt = sqlite_table.writer(files).begin(1, soon())
    sales = [sale(sale_id=str(number), tenant_id=f"t{number}") for number in range(12)]
    result = attempt.append(sales, (), Deadline.after(clock, given_seconds))
    assert result == NotKnownToHaveLanded(GiveUp.STAGING_FAILED)
    assert files.uploaded
    assert max(files.uploaded) <= given_seconds - 2 * REQUEST_SECONDS
    assert sqlite_table.sale_ids() == []


def manifest_sequence_numbers(table: TableUnderTest) -> dict[int, tuple[int, int]]:
    """Return the sequence number and the minimum sequence number of each manifest, by the snapshot that added it."""
    loaded = table.load()
    head = loaded.current_snapshot()
    assert head is not None
    manifests = head.manifests(loaded.io)
    return {
        manifest.added_snapshot_id or NO_SNAPSHOT: (manifest.sequence_number, manifest.min_sequence_number)
        for manifest in manifests
    }


def sequence_number_of(table: TableUnderTest, snapshot_id: int) -> int:
    snapshot = table.load().snapshot_by_id(snapshot_id)
    assert snapshot is not None
    assert snapshot.sequence_number is not None
    return snapshot.sequence_number


def test_after_a_conflict_manifests_have_the_sequence_number_of_the_snapshot_that_landed(table: TableUnderTest) -> None:
    writer = table.writer()
    assert land(writer, 1, "a") == Landed(1)
    assert land(table.writer(), 2, "b") == Landed(2)
    assert land(table.writer(), 3, "c") == Landed(3)
    assert land(writer, 4, "d") == Landed(4, conflicts=1)
    assert land(writer, 5, "e") == Landed(5)
    numbers = manifest_sequence_numbers(table)
    assert numbers == {number: (sequence_number_of(table, number),) * 2 for number in (1, 2, 3, 4, 5)}


def test_manifests_staged_on_an_older_head_have_the_sequence_number_of_their_snapshot(table: TableUnderTest) -> None:
    writer = table.writer()
    assert land(writer, 1, "a") == Landed(1)
    attempt = writer.begin(4, soon())
    sales = [sale(sale_id="d")]
    attempt.stage(sales)
    assert land(table.writer(), 2, "b") == Landed(2)
    assert land(table.writer(), 3, "c") == Landed(3)
    attempt.resolve([Claimed(sales[0], attempt.pin, (99,))], [], soon())
    assert attempt.append(sales, (99,), soon()) == Landed(4)
    assert manifest_sequence_numbers(table)[4] == (sequence_number_of(table, 4),) * 2


def test_a_commit_to_another_branch_takes_a_sequence_number(sqlite_table: TableUnderTest) -> None:
    """On SQLite only: the emulator makes a commit to any branch the table's current snapshot."""
    table = sqlite_table
    writer = table.writer()
    assert land(writer, 1, "a") == Landed(1)
    attempt = writer.begin(2, soon())
    sales = [sale(sale_id="b")]
    attempt.prepare(sales, soon())
    loaded = table.load()
    with loaded.manage_snapshots() as manage:
        manage.create_branch(1, "audit")
    loaded.append(arrow_table([sale(sale_id="x")], loaded.schema()).cast(loaded.schema().as_arrow()), branch="audit")
    attempt.resolve([Claimed(sales[0], attempt.pin, (99,))], [], soon())
    assert attempt.append(sales, (99,), soon()) == Landed(2)
    assert manifest_sequence_numbers(table)[2] == (sequence_number_of(table, 2),) * 2
