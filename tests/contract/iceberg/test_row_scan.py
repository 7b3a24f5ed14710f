"""Looking sales up in the table: its requests, its deadline, and what it reports of files that can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io import S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_SESSION_TOKEN
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask
from pyiceberg.transforms import BucketTransform, IdentityTransform

from lambda_fn.aws.clients import s3_client
from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg import row_scan
from lambda_fn.ports import Landed, Resolution
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.catalogs import Files
from tests.fakes.clock import FakeClock
from tests.tables import REQUEST_SECONDS, TableUnderTest

PARTITIONS = 40
MOST_REQUESTS = 120


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


def old(sale_id: str, tenant: int = 0, month: int = 1) -> Sale:
    return sale(sale_id=sale_id, tenant_id=f"tenant-{tenant:02}", sold_date=date(2001, month, 5))


def land(table: TableUnderTest, attempt_id: int, *sales: Sale) -> None:
    assert table.writer().begin(attempt_id, soon()).append(sales, (), soon()) == Landed(attempt_id)


def looked_up(table: TableUnderTest, *sales: Sale, **arguments: Any) -> Resolution:
    resolution = table.writer(**arguments).begin(99, soon()).resolve([], sales, soon())
    assert isinstance(resolution, Resolution)
    return resolution


@pytest.fixture
def s3_requests(s3_table: TableUnderTest) -> Iterator[list[str]]:
    """The requests to S3."""
    config = s3_table.config
    credentials = [
        s3_table.load().io.properties.get(name) for name in (S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_SESSION_TOKEN)
    ]
    timeouts = config.connect_timeout_seconds, config.read_timeout_seconds
    client = s3_client(config.region, config.endpoint_url, *timeouts, *credentials)
    sent: list[str] = []

    def note(request: Any, **_: Any) -> None:
        sent.append(f"{request.method} {request.url}")

    client.meta.events.register("before-send.s3", note)
    yield sent
    client.meta.events.unregister("before-send.s3", note)


def test_forty_partitions_take_one_pass_over_the_manifests(s3_table: TableUnderTest, s3_requests: list[str]) -> None:
    for number in range(PARTITIONS // 2):
        # Each commit's range of tenants contains the ranges of all later commits, so that few manifests are skipped.
        land(s3_table, number + 1, old("a", number), old("a", PARTITIONS - 1 - number))
    s3_requests.clear()
    present = [old("a", number) for number in range(PARTITIONS)]
    absent = [old("b", number) for number in range(PARTITIONS)]
    assert looked_up(s3_table, *present, *absent) == Resolution(dict.fromkeys(each.key for each in present))
    assert 0 < len(s3_requests) <= MOST_REQUESTS
    assert len(set(s3_requests)) == len(s3_requests), "nothing is read twice"


def test_the_same_id_in_another_partition_does_not_count(sqlite_table: TableUnderTest) -> None:
    land(sqlite_table, 1, old("a", 1, 1), old("b", 1, 2), old("c", 2, 1))
    wanted = old("a", 1, 2), old("b", 1, 1), old("c", 1, 1), old("a", 2, 1), old("c", 2, 1)
    assert looked_up(sqlite_table, *wanted) == Resolution({old("c", 2, 1).key: None})


def test_more_ids_than_one_filter_holds(sqlite_table: TableUnderTest) -> None:
    sales = [old(f"{number}") for number in range(1200)]
    land(sqlite_table, 1, *sales[::2])
    assert looked_up(sqlite_table, *sales).landed.keys() == {each.key for each in sales[::2]}


def test_files_of_every_partition_spec_are_read(sqlite_table: TableUnderTest) -> None:
    land(sqlite_table, 1, old("a"), old("z"))
    with sqlite_table.load().update_spec() as update:
        update.remove_field("month").add_field("sale_id", BucketTransform(4), "bucket")
    land(sqlite_table, 2, old("b", month=2))
    with sqlite_table.load().update_spec() as update:
        update.remove_field("tenant_id").add_field("brand", IdentityTransform(), "brand")
        update.add_field("tenant_id", BucketTransform(4), "tenant_bucket")
    land(sqlite_table, 3, old("c"))
    found = looked_up(sqlite_table, old("a"), old("b", month=2), old("c"), old("b"), old("absent"))
    assert found.landed.keys() == {old(sale_id).key for sale_id in "abc"} - {old("b").key} | {old("b", month=2).key}


class _Unreadable(Files):
    """Data files with a text in their names can't be read, and reading a data file takes a time."""

    def __init__(self, clock: FakeClock, text: str, seconds: float = 0.0) -> None:
        super().__init__(clock)
        self.text = text
        self.read = _Reads(self, seconds)


class _Reads(list[str]):
    def __init__(self, files: _Unreadable, seconds: float) -> None:
        super().__init__()
        self.files = files
        self.seconds = seconds

    def append(self, location: str) -> None:
        super().append(location)
        if location.endswith(".parquet"):
            self.files.clock.advance(self.seconds)
        if self.files.text in location:
            raise ConnectionResetError("the storage does not respond")


def test_a_file_that_can_not_be_read_leaves_only_its_partition_undecided(sqlite_table: TableUnderTest) -> None:
    land(sqlite_table, 1, old("a", 1), old("a", 2), old("a", 3))
    files = _Unreadable(FakeClock(), "/1-1-")
    resolution = looked_up(sqlite_table, old("a", 1), old("a", 2), old("b", 2), old("a", 3), old("a", 4), wrap=files)
    assert resolution.landed == {old("a", 1).key: None, old("a", 3).key: None}
    assert resolution.undecided.keys() == {old("a", 2).key, old("b", 2).key}
    cause = "it could not be looked up in the table: ConnectionResetError: the storage does not respond"
    assert set(resolution.undecided.values()) == {cause}


@pytest.mark.parametrize(
    ("requests", "read"),
    [
        pytest.param(8, 4, id="the commit takes three requests, and its judgement one"),
        pytest.param(2, 1, id="no time for a commit, but an invocation always gets ahead by one partition"),
        pytest.param(1, 1, id="the first partition takes one request"),
    ],
)
def test_the_deadline_is_checked_between_partitions(sqlite_table: TableUnderTest, requests: int, read: int) -> None:
    sales = [old("a", tenant) for tenant in range(8)]
    land(sqlite_table, 1, *sales)
    clock = FakeClock()
    files = _Unreadable(clock, "none", REQUEST_SECONDS)
    attempt = sqlite_table.writer(files).begin(2, soon())
    resolution = attempt.resolve([], sales, Deadline.after(clock, requests * REQUEST_SECONDS))
    assert isinstance(resolution, Resolution)
    assert (len(resolution.landed), len(resolution.undecided)) == (read, 8 - read)
    cause = "it could not be looked up in the table: OutOfTime: No time is left."
    assert set(resolution.undecided.values()) == {cause}


def test_nothing_is_decided_without_the_manifests(sqlite_table: TableUnderTest) -> None:
    land(sqlite_table, 1, old("a"))

    cause = "ConnectionResetError: the storage does not respond"
    text = rf"^Iceberg table {'.'.join(sqlite_table.identifier)} could not be scanned: {cause}. The sales stay"
    with pytest.raises(StoreUnavailable, match=text):
        looked_up(sqlite_table, old("a"), wrap=_Unreadable(FakeClock(), ".avro"))


def test_a_row_that_a_positional_delete_file_removes_does_not_count(
    sqlite_table: TableUnderTest, tmp_path: Path
) -> None:
    sales = [old("a"), old("b"), old("c")]
    land(sqlite_table, 1, *sales)
    loaded = sqlite_table.load()
    head = loaded.current_snapshot()
    assert head is not None
    (task,) = loaded.scan().plan_files()
    deletes = tmp_path / "deletes.parquet"
    pq.write_table(pa.table({"file_path": [task.file.file_path], "pos": pa.array([1], pa.int64())}), deletes)
    delete_file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=f"file://{deletes}", file_format=FileFormat.PARQUET
    )
    (part,) = row_scan.plan(loaded, head.manifests(loaded.io), sales)
    (file,) = part.files
    deleted = replace(part, files=[FileScanTask(file.file, {delete_file})])
    assert row_scan.present(loaded, part) == {each.key for each in sales}
    assert row_scan.present(loaded, deleted) == {old("a").key, old("c").key}
