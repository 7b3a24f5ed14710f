"""Reading rows gives the sales that were written, whatever file they are in."""

from __future__ import annotations

import itertools
from datetime import date

import pyarrow as pa
import pytest

from carousel_sync.consistency.table_rows import SMALL_FILE_BYTES, Row, read_by_field_ids, read_by_scan, read_rows
from carousel_sync.events.generate import Recipe, Role, generate
from lambda_fn.event import parse_event
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.sale import Sale
from tests.tables import TableUnderTest


def generated(count: int, embedding: int = 16) -> list[Sale]:
    recipe = Recipe(count=count, seed=3, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=embedding)
    contents = [
        parse_event("id", event.envelope, "", "").content for event in generate(recipe) if event.role is Role.SALE
    ]
    return [content for content in contents if isinstance(content, Sale)]


def facts(rows: list[Row]) -> dict[str, str]:
    assert all(row.derived_correctly for row in rows)
    return {row.sale.sale_id: row.sale.payload_hash for row in rows}


def test_every_sale_is_read_once(sqlite_table: TableUnderTest) -> None:
    sales = generated(200)
    table = sqlite_table.load()
    for start in range(0, len(sales), 50):
        table.append(arrow_table(sales[start : start + 50], table.schema()))
    seen: list[tuple[int, int]] = []
    rows = list(read_rows(table, lambda done, of: seen.append((done, of))))
    assert len(rows) == 200
    assert facts(rows) == {sale.sale_id: sale.payload_hash for sale in sales}
    assert seen[-1][0] == seen[-1][1] > 1


def test_partitions_are_read_one_after_the_other(sqlite_table: TableUnderTest) -> None:
    sales = generated(200)
    table = sqlite_table.load()
    table.append(arrow_table(sales[:100], table.schema()))
    table.append(arrow_table(sales[100:], table.schema()))
    order = [(row.sale.tenant_id, row.sale.year, row.sale.month) for row in read_rows(table, lambda *_: None)]
    assert len([key for key, _ in itertools.groupby(order)]) == len(set(order))


def test_sales_without_an_embedding_are_read(sqlite_table: TableUnderTest) -> None:
    sales = [*generated(4, embedding=0), *generated(3, embedding=8)]
    table = sqlite_table.load()
    table.append(arrow_table(sales, table.schema()))
    lengths = sorted(len(row.sale.embedding or []) for row in read_rows(table, lambda *_: None))
    assert lengths == [0, 0, 0, 0, 8, 8, 8]


def test_a_table_without_a_snapshot_has_no_rows(sqlite_table: TableUnderTest) -> None:
    assert list(read_rows(sqlite_table.load(), lambda *_: None)) == []


def test_a_large_file_is_read(sqlite_table: TableUnderTest) -> None:
    sales = generated(1_500, embedding=1024)
    sales = [sale for sale in sales if (sale.tenant_id, sale.month) == (sales[0].tenant_id, 12)] * 5
    table = sqlite_table.load()
    table.append(arrow_table(sales, table.schema()))
    (task,) = table.scan().plan_files()
    assert task.file.file_size_in_bytes > SMALL_FILE_BYTES
    rows = list(read_rows(table, lambda *_: None))
    assert len(rows) == len(sales)
    assert facts(rows) == {sale.sale_id: sale.payload_hash for sale in sales}


def test_both_readers_agree(sqlite_table: TableUnderTest) -> None:
    table = sqlite_table.load()
    table.append(arrow_table(generated(30), table.schema()))
    for task in table.scan().plan_files():
        results = []
        for read in (read_by_field_ids, read_by_scan):
            batches = list(read(table, task))
            results.append({key: pa.concat_arrays([batch[key] for batch in batches]).to_pylist() for key in batches[0]})
        assert results[0] == results[1]


def test_a_renamed_column_is_found_by_its_id(sqlite_table: TableUnderTest) -> None:
    sales = generated(10)
    table = sqlite_table.load()
    table.append(arrow_table(sales, table.schema()))
    with table.update_schema() as update:
        update.rename_column("brand", "maker")
    assert facts(list(read_rows(table, lambda *_: None))) == {sale.sale_id: sale.payload_hash for sale in sales}


@pytest.mark.parametrize(
    ("column", "wrong"), [("season", "Q9"), ("discount_percent", 1.5), ("embedding_dimension", 7), ("quarter", None)]
)
def test_a_wrong_derived_column_is_reported(
    sqlite_table: TableUnderTest, column: str, wrong: str | float | None
) -> None:
    table = sqlite_table.load()
    rows = arrow_table(generated(1), table.schema())
    position = rows.schema.get_field_index(column)
    field = rows.schema.field(position)
    table.append(rows.set_column(position, field, pa.array([wrong], field.type)))
    (row,) = read_rows(table, lambda *_: None)
    assert not row.derived_correctly
