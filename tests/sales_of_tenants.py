"""A table with sales of several tenants, months, currencies and vendors, for tests of the analysts' queries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from carousel_sync.analysis.parameters import Value
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.tables import TableUnderTest

TENANT: Final = "tenant's 0"
"""The tenant that tests ask about. Its name has a quote."""
OTHERS: Final = ("tenant-1", "tenant-2", "tenant-3", "tenant-4")
MONTHS: Final = ((2024, 12), (2025, 10), (2025, 11), (2025, 12), (2026, 1))
YEAR, MONTH = 2025, 12
WATCHES_ARE_SOLD_BY: Final = (TENANT, "tenant-1", "tenant-2")
BRANDS: Final = {"handbags": ("Louis Vuitton", "Chanel"), "watches": ("Omega",), "shoes": ("Gucci", 'A "quoted" one')}
_PER_PARTITION: Final = 24


@dataclass(frozen=True)
class WrittenSales:
    """The table, and its sales. One sale has two rows."""

    table: TableUnderTest
    sales: tuple[Sale, ...]
    twice: Sale

    @property
    def month(self) -> list[Sale]:
        """The rows of the tenant and month that tests ask about."""
        return [each for each in self.sales if (each.tenant_id, each.year, each.month) == (TENANT, YEAR, MONTH)]

    @property
    def first_commit(self) -> datetime:
        """When the first half of the sales was committed."""
        first = min(snapshot.timestamp_ms for snapshot in self.table.load().snapshots())
        return datetime.fromtimestamp(first / 1000, UTC)

    def values(self) -> dict[str, Value]:
        """Return a value for each parameter."""
        return {
            "tenant": TENANT,
            "year": YEAR,
            "month": MONTH,
            "days": 30,
            "k": 3,
            "as_of": self.first_commit,
            "first_day": date(YEAR, MONTH - 2, 1),
            "last_day": date(YEAR, MONTH, 31),
        }


def write_sales(table: TableUnderTest) -> WrittenSales:
    """Append the sales in two snapshots. A third one doubles a sale, which the function would refuse to do."""
    chosen = random.Random(20251231)
    sales = [
        _sale(chosen, tenant, year, month, number)
        for tenant in (TENANT, *OTHERS)
        for year, month in MONTHS
        for number in range(_PER_PARTITION)
    ]
    twice = next(each for each in sales if (each.tenant_id, each.year, each.month) == (TENANT, YEAR, MONTH))
    writer = table.writer()
    for snapshot_id, appended in ((1001, sales[::2]), (1002, sales[1::2]), (1003, [twice])):
        deadline = Deadline.after(SystemClock(), 300)
        result = writer.begin(snapshot_id, deadline).append(appended, (), deadline)
        assert isinstance(result, Landed), result
    return WrittenSales(table, (*sales, twice), twice)


def _sale(chosen: random.Random, tenant: str, year: int, month: int, number: int) -> Sale:
    category = chosen.choice([name for name in BRANDS if name != "watches" or tenant in WATCHES_ARE_SOLD_BY])
    listed = Decimal(chosen.randrange(0, 200_000)).scaleb(-2).quantize(Decimal("0.0001"))
    sold_on = date(year, month, chosen.randrange(1, 29))
    return sale(
        tenant_id=tenant,
        sale_id=f"{tenant}-{year}-{month}-{number}",
        product_id=f"product-{number % 7}",
        category=category,
        brand=chosen.choice(BRANDS[category]),
        listed_price=listed,
        sold_price=(listed * Decimal(chosen.randrange(40, 115)) / 100).quantize(Decimal("0.0001")),
        currency=chosen.choice(["EUR", "USD", None]),
        sold_date=sold_on,
        recorded_at=datetime(year, month, sold_on.day, 23, 59, 59, 999_999, tzinfo=UTC),
        days_to_sell=chosen.choice([None, *range(0, 120, 7)]),
        # Later months have vendors that earlier ones do not have.
        vendor_id=chosen.choice([None, *(f"vendor-{each}" for each in range(year * 12 + month - 24_280))]),
    )
