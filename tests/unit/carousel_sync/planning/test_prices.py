"""List prices: their sources, and replacing them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from carousel_sync.planning.prices import LIST_PRICES, LOOKED_UP, REGION, YOURS, of_other_regions, with_overrides
from lambda_fn.errors import ConfigurationError

TODAY = date(2026, 12, 1)


def test_each_price_has_a_source_a_region_and_a_date_before_the_look_up() -> None:
    for price in LIST_PRICES.values():
        assert price.source.endswith("pricing") or "pricing" in price.source
        assert price.region in (REGION, "us-east-1")
        assert date(2026, 1, 1) <= price.as_of <= LOOKED_UP
        assert price.usd > 0


def test_a_price_is_for_its_units() -> None:
    # $0.705 for a million write units: 27 million of them are 27 x 0.705 = 19.035.
    assert LIST_PRICES["dynamodb_write"].of(27_000_000) == pytest.approx(19.035)
    # $0.025 for a thousand objects: 5,000 are 0.125.
    assert LIST_PRICES["s3_tables_monitoring"].of(5_000) == pytest.approx(0.125)


def test_prices_of_another_region_are_named() -> None:
    assert {price.name for price in of_other_regions(LIST_PRICES)} == {
        "eventbridge_event",
        "s3_tables_put",
        "s3_tables_get",
        "s3_tables_monitoring",
        "s3_tables_compacted_object",
        "s3_tables_compacted_gb",
    }


def test_prices_can_be_replaced() -> None:
    prices = with_overrides(LIST_PRICES, ["eventbridge_event=1.2", "metric=0"], TODAY)
    assert prices["eventbridge_event"].usd == Decimal("1.2")
    assert (prices["eventbridge_event"].source, prices["eventbridge_event"].as_of) == (YOURS, TODAY)
    assert prices["metric"].of(10) == 0
    assert "eventbridge_event" not in {price.name for price in of_other_regions(prices)}
    assert LIST_PRICES["eventbridge_event"].usd == Decimal("1.00")


@pytest.mark.parametrize("override", ["gold=1", "metric", "metric=", "metric=-1", "metric=NaN", "metric=Infinity"])
def test_an_invalid_price_is_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match="--price"):
        with_overrides(LIST_PRICES, [override], TODAY)
