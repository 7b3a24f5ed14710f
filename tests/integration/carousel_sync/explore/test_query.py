"""SQL over an Iceberg table in a folder, with a local catalog and DuckDB."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection
from pyiceberg.table import Table

from carousel_sync.command_line import console
from carousel_sync.explore.duckdb_table import open_table
from carousel_sync.explore.results import show, write_csv, write_json
from carousel_sync.explore.sql import QueryFailed, Result, run
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.errors import StoreUnavailable
from lambda_fn.fields import Vector
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.sale import Sale
from tests.tables import TableUnderTest
from tests.unit.carousel_sync.command_line.screen import printed

ATHENA_QUERY = """
    SELECT category, brand, AVG(sold_price) AS avg_price, COUNT(*) AS sale_count
    FROM sales_history
    WHERE tenant_id = 'carousel-labs' AND year = 2025 AND month = 12
    GROUP BY category, brand
    ORDER BY avg_price DESC
"""


def a_sale(number: int, tenant: str = "carousel-labs", month: int = 12) -> Sale:
    return Sale(
        tenant_id=tenant,
        product_id=f"PROD-{number}",
        sale_id=f"SALE-{number}",
        category="handbags" if number % 2 else "watches",
        brand="Louis Vuitton" if number % 2 else "Omega",
        listed_price=Decimal("500.0000"),
        sold_price=Decimal("400.1000") + number,
        sold_date=date(2025, month, 1 + number % 28),
        recorded_at=datetime(2025, 12, 30, 12, tzinfo=UTC),
        embedding=Vector("f", [0.5, -0.25, 0.125, 1.0]),
    )


@pytest.fixture
def table(sqlite_table: TableUnderTest) -> Table:
    return sqlite_table.load()


@pytest.fixture
def sales(table: Table) -> Iterator[DuckDBPyConnection]:
    rows = [a_sale(number) for number in range(6)]
    rows += [a_sale(number, tenant="maison-reprise") for number in range(6, 9)]
    rows += [a_sale(number, month=11) for number in range(9, 11)]
    table.append(arrow_table(rows, table.schema()))
    with open_table(table.metadata_location) as connection:
        yield connection


def test_an_analysts_query(sales: DuckDBPyConnection) -> None:
    result = run(sales, ATHENA_QUERY)
    assert result.columns == ["category", "brand", "avg_price", "sale_count"]
    assert list(result.rows) == [
        ("handbags", "Louis Vuitton", pytest.approx(403.1), 3),
        ("watches", "Omega", pytest.approx(402.1), 3),
    ]


def test_a_table_without_a_snapshot_has_no_rows(table: Table) -> None:
    with open_table(table.metadata_location) as connection:
        assert list(run(connection, "SELECT sale_id, embedding_vector FROM sales_history").rows) == []


def test_every_type_keeps_its_value(sales: DuckDBPyConnection) -> None:
    columns = "sold_price, sold_date, discount_percent, embedding_vector, description, ingestion_timestamp"
    (row,) = run(sales, f"SELECT {columns} FROM sales_history WHERE sale_id = 'SALE-1'").rows  # noqa: S608
    assert row[:2] == (Decimal("401.1000"), date(2025, 12, 2))
    assert row[2] == pytest.approx(19.78)
    assert row[3:5] == ([0.5, -0.25, 0.125, 1.0], None)
    assert row[5] == datetime(2025, 12, 30, 12, tzinfo=UTC)


def test_json_is_a_list_of_objects(sales: DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT sale_id, sold_price, sold_date, embedding_vector, vendor_id FROM sales_history ORDER BY 1 LIMIT 2"
    write_json(run(sales, query))
    rows = json.loads(capsys.readouterr().out)
    assert [row["sale_id"] for row in rows] == ["SALE-0", "SALE-1"]
    assert rows[1] == {
        "sale_id": "SALE-1",
        "sold_price": 401.1,
        "sold_date": "2025-12-02",
        "embedding_vector": [0.5, -0.25, 0.125, 1.0],
        "vendor_id": None,
    }


def test_json_of_no_rows_is_an_empty_list(sales: DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(run(sales, "SELECT * FROM sales_history WHERE false"))
    assert json.loads(capsys.readouterr().out) == []


def test_json_has_inexact_numbers_and_bytes_as_strings(
    sales: DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(
        run(sales, "SELECT 12345678901234.5678::DECIMAL(18,4) AS exact, 'nan'::FLOAT AS nan, '\\x0A'::BLOB AS b")
    )
    assert json.loads(capsys.readouterr().out) == [{"exact": "12345678901234.5678", "nan": "nan", "b": "0a"}]


def test_csv_has_a_header_and_every_value(sales: DuckDBPyConnection, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(
        run(sales, "SELECT sale_id, sold_price, embedding_vector, vendor_id FROM sales_history ORDER BY 1 LIMIT 1")
    )
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["sale_id", "sold_price", "embedding_vector", "vendor_id"],
        ["SALE-0", "400.1000", "[0.5, -0.25, 0.125, 1.0]", ""],
    ]


def shown(result: Result, monkeypatch: pytest.MonkeyPatch, width: int | None) -> str:
    return printed(monkeypatch, width, lambda: show(result, console.stdout))


def test_the_table_for_people_shortens_lists(sales: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(sales, "SELECT sale_id, embedding_vector FROM sales_history WHERE sale_id = 'SALE-1'")
    text = shown(result, monkeypatch, 120)
    assert "SALE-1" in text
    assert "… 4 values" in text


def test_rows_that_are_too_wide_for_the_console_are_printed_as_records(
    sales: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(run(sales, "SELECT * FROM sales_history WHERE sale_id = 'SALE-1'"), monkeypatch, 80)
    assert "tenant_id            carousel-labs\n" in text


def test_an_empty_result_names_its_columns(sales: DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(sales, "SELECT sale_id, brand FROM sales_history WHERE false")
    assert shown(result, monkeypatch, 80) == "No rows. Columns: sale_id, brand\n"


def test_text_that_resembles_markup_is_printed_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result(columns=["[red]name"], rows=iter([("[bold]text[/nothing]",)]))
    assert "[bold]text[/nothing]" in shown(result, monkeypatch, 120)


def test_null_differs_from_the_empty_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shown(Result(["a", "b"], iter([(None, "")])), monkeypatch, None) == "a\tb\nNULL\t\n"
    assert printed(monkeypatch, None, lambda: write_csv(Result(["a", "b"], iter([(None, "")])))) == 'a,b\n,""\n'


def test_the_table_has_the_name_that_athena_and_spark_use(sales: DuckDBPyConnection) -> None:
    (row,) = run(sales, "SELECT count(*) FROM pricing_intelligence.sales_history").rows
    assert row == (11,)


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM sales_history", "SELECT 'x'::INT", ""])
def test_a_mistake_in_the_sql_is_reported_by_one_message(sales: DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(QueryFailed) as caught:
        list(run(sales, sql).rows)
    assert str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_missing_metadata_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"v9\.metadata\.json"):
        open_table(str(tmp_path / "v9.metadata.json"))


def test_nothing_is_installed_in_the_home_folder(table: Table, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys; from carousel_sync.explore.duckdb_table import open_table; "
        "print(open_table(sys.argv[1]).execute('SELECT COUNT(*) FROM sales_history').fetchone()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, table.metadata_location],
        env={"HOME": str(home), "PATH": ""},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "0", done.stderr
    assert list(home.iterdir()) == []
