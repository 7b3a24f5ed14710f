"""An append whose files are refused, and one in which the code has a defect."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.io import OutputFile

from lambda_fn.iceberg import staging
from lambda_fn.ports import GiveUp, Landed, NotKnownToHaveLanded
from lambda_fn.runtime.retry import Deadline, SystemClock
from tests.builders import sale
from tests.catalogs import Files, faulty, never_sent
from tests.fakes.clock import FakeClock
from tests.tables import TableUnderTest


def soon(seconds: float = 120.0) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


class Expiring(Files):
    """The credentials that came with the first load of the table have expired. ``loads`` counts the loads."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.loads = 0

    def __call__(self, catalog: Catalog) -> Catalog:
        wrapped: Any = super().__call__(catalog)
        load_table = wrapped.load_table

        def load(identifier: Any) -> Any:
            self.loads += 1
            table = load_table(identifier)
            if self.loads == 1:
                table.io.new_output = refused
            return table

        wrapped.load_table = load
        return wrapped  # type: ignore[no-any-return]


def refused(location: str) -> OutputFile:
    raise ClientError(
        {"Error": {"Code": "ExpiredToken", "Message": location}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]
        "PutObject",
    )


def test_the_second_try_uses_the_credentials_of_a_new_load(table: TableUnderTest) -> None:
    files = Expiring()
    attempt = table.writer(files).begin(1, soon())
    attempt.prepare([sale(sale_id="a")], soon())
    assert attempt.append([sale(sale_id="a")], (), soon()) == Landed(1)
    assert files.loads == 2
    assert table.sale_ids() == ["a"]


def test_the_error_of_an_upload_is_reported(sqlite_table: TableUnderTest) -> None:
    attempt = sqlite_table.writer(Files(FakeClock(), failing=100_000)).begin(1, soon())
    result = attempt.append([sale(sale_id="a")], (), soon(25))
    assert result == NotKnownToHaveLanded(GiveUp.STAGING_FAILED)
    assert str(result) == "the files could not be written: ConnectionError: connection refused"


def test_the_error_of_a_commit_is_reported(sqlite_table: TableUnderTest) -> None:
    attempt = sqlite_table.writer(faulty(*[never_sent] * 100_000)).begin(1, soon())
    result = attempt.append([sale(sale_id="a")], (), soon(25))
    assert str(result) == f"{GiveUp.OUT_OF_TIME.value}: ConnectionError: connection refused"


def divided(*_: Any) -> Any:
    return 1 / 0


@pytest.mark.parametrize("name", ["stage", "manifest_list", "summary"])
def test_a_defect_in_the_making_of_the_files_propagates(
    sqlite_table: TableUnderTest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    attempt = sqlite_table.writer().begin(1, soon())
    monkeypatch.setattr(staging, name, divided)
    with pytest.raises(ZeroDivisionError):
        attempt.append([sale(sale_id="a")], (), soon())
    assert sqlite_table.sale_ids() == []


def test_a_defect_in_the_commit_propagates(sqlite_table: TableUnderTest) -> None:
    attempt = sqlite_table.writer(faulty(divided)).begin(1, soon())
    with pytest.raises(ZeroDivisionError):
        attempt.append([sale(sale_id="a")], (), soon())


@pytest.mark.parametrize(
    ("codec", "written"),
    [
        ("zstd", "ZSTD"),
        ("snappy", "SNAPPY"),
        ("GZIP", "GZIP"),
        ("uncompressed", "UNCOMPRESSED"),
        ("unknown", "ZSTD"),
        ("", "ZSTD"),
    ],
)
def test_data_files_have_the_codec_of_the_table(sqlite_table: TableUnderTest, codec: str, written: str) -> None:
    with sqlite_table.load().transaction() as transaction:
        transaction.set_properties({"write.parquet.compression-codec": codec})
    assert sqlite_table.writer().begin(1, soon()).append([sale(sale_id="a")], (), soon()) == Landed(1)
    loaded = sqlite_table.load()
    (task,) = loaded.scan().plan_files()
    with loaded.io.new_input(task.file.file_path).open() as file:
        metadata = pq.read_metadata(file)
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {written}
    assert sqlite_table.sale_ids() == ["a"]
