"""A table with a history, written by the function's own writer: schema changes, merged manifests, many partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from pyiceberg.types import LongType

from catalog_config.config import CatalogConfig
from lambda_fn.iceberg.manifest_merging import CHECK_INTERVAL
from lambda_fn.ports import Landed, ManifestMerge, SalesTable
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from schemas.evolution.apply import evolve
from schemas.evolution.column_operations import RenameColumn, WidenColumn
from schemas.evolution.table_operations import SetProperty
from tests.builders import embedding, sale
from tests.engines.readers.reader import Row, comparable
from tests.tables import TableUnderTest, provisioned

SALES_PER_COMMIT: Final = 5
COMMITS_BEFORE_CURRENCY: Final = 8
COMMITS_AFTER_RENAME: Final = 3
RENAMED: Final = {"condition": "state"}
"""The column that is renamed after the merge: its attribute in a sale, and its name in the table's newest schema."""

COLUMNS: Final = {
    "tenant_id": "tenant_id",
    "sale_id": "sale_id",
    "product_id": "product_id",
    "category": "category",
    "brand": "brand",
    "state": "condition",
    "description": "description",
    "listed_price": "listed_price",
    "sold_price": "sold_price",
    "currency": "currency",
    "discount_percent": "discount_percent",
    "sold_date": "sold_date",
    "quarter": "quarter",
    "year": "year",
    "month": "month",
    "season": "season",
    "days_to_sell": "days_to_sell",
    "image_s3_key": "image_s3_key",
    "embedding_id": "embedding_id",
    "embedding_dimension": "embedding_dimension",
    "embedding_vector": "embedding",
    "source_system": "source_system",
    "vendor_id": "vendor_id",
    "ingestion_timestamp": "recorded_at",
}
"""The columns of the newest schema, and the attributes of a sale that they hold."""

_TEXTS: Final = ("", 'a "quoted" text', "Sac à main, 手提包, 👜", "two\nlines", None)
_DIMENSIONS: Final = (1024, 16, None, 1)


@dataclass
class WrittenTable:
    """The table, and the sales that are in it at each snapshot, in the order in which they landed."""

    table: TableUnderTest
    sales_at: dict[int, tuple[Sale, ...]] = field(default_factory=dict)

    @property
    def snapshot_ids(self) -> list[int]:
        """The ids of the snapshots that appended sales, oldest first."""
        return list(self.sales_at)

    @property
    def sales(self) -> tuple[Sale, ...]:
        """All sales."""
        return self.sales_at[self.snapshot_ids[-1]]

    @property
    def before_currency(self) -> int:
        """The last snapshot before the table had the column currency."""
        return self.snapshot_ids[COMMITS_BEFORE_CURRENCY - 1]

    @property
    def before_merge(self) -> int:
        """The last snapshot before manifests were merged and a column was renamed."""
        return self.snapshot_ids[CHECK_INTERVAL - 1]

    def land(self, writer: SalesTable, commits: int) -> None:
        """Append new sales, one snapshot for each commit."""
        for _ in range(commits):
            before = self.sales if self.sales_at else ()
            new = [_sale(len(before) + number) for number in range(SALES_PER_COMMIT)]
            snapshot_id = 1000 + len(self.sales_at)
            attempt = writer.begin(snapshot_id, _soon())
            # Like the function, look for new columns before writing.
            assert not attempt.columns_missing(new, _soon())
            result = attempt.append(new, (), _soon())
            assert isinstance(result, Landed), result
            self.sales_at[snapshot_id] = (*before, *new)


def expected_rows(sales: Sequence[Sale], columns: Sequence[str]) -> list[Row]:
    """Return the rows of sales, ordered by tenant and sale id, with columns of the newest schema."""
    ordered = sorted(sales, key=lambda each: each.key)
    return comparable([[_value(each, COLUMNS[column]) for column in columns] for each in ordered])


def write_table(config: CatalogConfig) -> WrittenTable:
    """Create the table at version 1 of its schema, and give it its history."""
    written = WrittenTable(provisioned(config, to=1))
    table = written.table
    table.alter(SetProperty("commit.manifest.min-count-to-merge", "5"))
    writer = table.writer()
    written.land(writer, COMMITS_BEFORE_CURRENCY)
    evolve(table.catalog(), table.load())
    written.land(writer, CHECK_INTERVAL - COMMITS_BEFORE_CURRENCY)
    assert writer.merge_manifests(_soon()) == ManifestMerge(CHECK_INTERVAL)
    table.alter(*[RenameColumn(6, name) for name in RENAMED.values()], WidenColumn(16, LongType()))
    written.land(writer, COMMITS_AFTER_RENAME)
    return written


def _sale(number: int) -> Sale:
    """Return a sale: each number gives another one. Sales of one commit are of several tenants and months."""
    sold_on = date(2025, 11, 28) + timedelta(days=number)
    dimension = _DIMENSIONS[number % len(_DIMENSIONS)]
    after_currency = number >= SALES_PER_COMMIT * COMMITS_BEFORE_CURRENCY
    return sale(
        tenant_id=f"tenant-{number % 3}",
        sale_id=f"sale-{number:04}",
        product_id=f"product-{number % 7}",
        listed_price=Decimal(number % 4 * 100).quantize(Decimal("0.0001")),
        sold_price=Decimal(number * 997 + 1).scaleb(-2).quantize(Decimal("0.0001")),
        currency=("EUR", "USD", None)[number % 3] if after_currency else None,
        sold_date=sold_on,
        recorded_at=datetime(sold_on.year, sold_on.month, sold_on.day, 23, 59, 59, 999_999, tzinfo=UTC),
        condition=("new", "worn", None)[number % 3],
        description=_TEXTS[number % len(_TEXTS)],
        days_to_sell=(0, 2**31 - 1, None)[number % 3],
        embedding=None if dimension is None else embedding(dimension, seed=number),
    )


def _value(sold: Sale, attribute: str) -> object:
    value = getattr(sold, attribute)
    return list(value) if attribute == "embedding" and value is not None else value


def _soon() -> Deadline:
    return Deadline.after(SystemClock(), 300)
