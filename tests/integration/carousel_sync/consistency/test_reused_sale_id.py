"""A producer uses the id of one sale for another: what detects it, for how long, and how it is resolved afterwards.

A sale is identified by its tenant and its id. Two events with one id and different facts are a conflict for as long as
the guard keeps the first of them, and after that for as long as both name the same product and day, because then they
have the same look-up item. Beyond that the second event lands; ``verify`` reports it, and ``dedupe`` resolves it.
"""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from carousel_sync import cli
from carousel_sync.consistency.dedupe import rows_of
from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from lambda_fn.guard.items import COMPLETED_TTL_SECONDS
from lambda_fn.sale import Sale
from tests.builders import event, read
from tests.integration.carousel_sync.consistency.damage import Stores

SALE_ID = "SALE-1"

Command = Callable[[str], Result]


@pytest.fixture
def command(own_stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line as it is printed for people."""
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(own_stack.directory))
    return lambda line: CliRunner().invoke(cli.app, shlex.split(line.removeprefix("carousel-sync ")))


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"


def forget(stores: Stores, sale: Sale) -> None:
    """Let the guard's 24 hours pass for the sale."""
    stores.client.update_item(
        **stores.claim_of(sale),
        UpdateExpression="SET #ttl = #ttl - :hours",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues={":hours": {"N": str(COMPLETED_TTL_SECONDS)}},
    )


def report_sale(stores: Stores, tenant: str, **facts: object) -> Sale:
    """Deliver an event with the id; it is acknowledged, whether it landed or was rejected."""
    given = event(tenantId=tenant, saleId=SALE_ID, **facts)
    assert stores.deliver(stores.application(), [given]) == []
    sale = read(given)
    assert isinstance(sale, Sale)
    return sale


def products(stores: Stores, sale: Sale) -> list[Any]:
    """Return the products of the sale's rows, in the order of the rows' numbers."""
    rows: list[Any] = rows_of(stores.target.load_table(), sale.key).rows["product_id"].to_pylist()
    return rows


@pytest.mark.parametrize("facts", [{"productId": "other"}, {"soldDate": "2026-03-13"}, {"salePrice": 1}])
def test_any_other_fact_is_a_conflict_while_the_guard_has_the_sale(
    stores: Stores, tenant: str, facts: dict[str, Any]
) -> None:
    sale = report_sale(stores, tenant)
    report_sale(stores, tenant, **facts)
    assert products(stores, sale) == [sale.product_id]


def test_after_that_the_look_up_item_reveals_conflicts_on_the_same_product_and_day(stores: Stores, tenant: str) -> None:
    sale = report_sale(stores, tenant)
    forget(stores, sale)
    report_sale(stores, tenant, salePrice=1)
    assert products(stores, sale) == [sale.product_id]


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("facts", [{"productId": "other"}, {"soldDate": "2026-02-13"}], ids=["product", "day"])
def test_beyond_that_it_lands_and_is_reported_and_resolved(
    stores: Stores, tenant: str, command: Command, facts: dict[str, Any], keep: int
) -> None:
    first = report_sale(stores, tenant)
    forget(stores, first)
    second = report_sale(stores, tenant, **facts)
    assert rows_of(stores.target.load_table(), first.key).count == 2

    found = command("carousel-sync verify --local --repair --json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    assert document["doubled_rows"] == [f"{tenant}/{SALE_ID}"]
    (dedupe,) = document["repair"]["commands"]
    assert dedupe == f"carousel-sync dedupe --stage dev --local {tenant} {SALE_ID}"

    shown = command(f"{dedupe} --json")
    assert shown.exit_code == 1
    listed = json.loads(shown.stdout)
    assert not listed["alike"]
    refused = command(f"{dedupe} --yes")
    assert refused.exit_code == 1
    assert "--keep NUMBER" in refused.stderr
    assert rows_of(stores.target.load_table(), first.key).count == 2

    kept = listed["rows"][keep - 1]
    assert command(f"{dedupe} --yes --keep {keep}").exit_code == 0
    (row,) = rows_of(stores.target.load_table(), first.key).rows.to_pylist()
    assert {name: str(row[name]) for name in kept.keys() - {"number"}} == {
        name: str(kept[name]) for name in kept.keys() - {"number"}
    }

    # Each event wrote an item under its own key: the item of the removed row goes, too.
    assert verify_target(stores.target).divergent == [f"{tenant}/{SALE_ID}"]
    assert command("carousel-sync verify --local --repair --yes").exit_code == 0
    items = ["Item" in stores.client.get_item(**stores.item_of(sale), ConsistentRead=True) for sale in (first, second)]
    assert items.count(True) == 1
