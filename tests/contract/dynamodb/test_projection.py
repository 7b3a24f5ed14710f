"""The projection over the fake, the emulator and DynamoDB Local."""

from __future__ import annotations

from array import array
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lambda_fn.aws.batch_requests import GET_LIMIT, WRITE_LIMIT, Item
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.ports import Reason, Rejection, Unreadable
from lambda_fn.projection.item import ITEM_LIMIT_BYTES, item_of, item_size_bytes, projection_key
from lambda_fn.sale import EMBEDDING_SHARDS, Sale
from testbed.dynamodb.attribute_values import stored
from tests.builders import embedding, sale
from tests.contract.dynamodb.dynamodb_world import World
from tests.fakes.faulty_dynamodb import (
    GET,
    WRITE,
    Fault,
    answer_lost,
    passed,
    refused,
    request_lost,
    unprocessed,
)

# Engines delete expired items: the sales are of this month, so that their items live for two years.
TODAY = datetime.now(UTC).date().replace(day=1)

OPTIONAL: dict[str, Any] = {
    "condition": "EXCELLENT",
    "description": "Neverfull, größte Ausführung 🧥",
    "vendor_id": "vendor-1",
    "image_s3_key": "images/1.jpg",
    "embedding_id": "embedding-1",
    "days_to_sell": 0,
}


def _sale(world: World, number: int = 1, **changes: Any) -> Sale:
    return world.sale(number, **{"sold_date": TODAY, **changes})


def _item(world: World, sale: Sale) -> Item:
    """Return the stored item of a sale, or an empty dictionary."""
    key = projection_key(sale)
    return world.projection_batches.get([key], world.deadline()).get(key, {})


def _put(world: World, *sales: Sale) -> None:
    assert world.projection.put(sales, world.deadline()) == {sale.key for sale in sales}


@pytest.mark.parametrize(
    "facts", [{}, OPTIONAL, {"embedding": embedding(1024)}, {**OPTIONAL, "embedding": embedding(3)}]
)
def test_a_stored_sale_is_found(world: World, facts: dict[str, Any]) -> None:
    sale = _sale(world, **facts)
    _put(world, sale)
    found = world.projection.find([sale, _sale(world, 2)], world.deadline())
    assert found == {sale.key: sale}


@pytest.mark.parametrize(
    "change",
    [{"brand": None}, {"saleDate": {"S": "soon"}}, {"brand": {"N": "1"}}, {"saleId": {"S": "another"}}],
)
def test_an_unreadable_item_holds_up_only_its_own_sale(world: World, change: dict[str, Any]) -> None:
    sale, other = _sale(world), _sale(world, 2)
    _put(world, sale, other)
    broken = {name: value for name, value in {**item_of(sale), **change}.items() if value is not None}
    world.projection_batches.put([broken], world.deadline())
    found = world.projection.find([sale, other], world.deadline())
    assert found[other.key] == other
    result = found[sale.key]
    assert isinstance(result, Unreadable)
    for part in (world.projection_batches.table.name, *projection_key(sale), "verify --repair"):
        assert part in result.cause


def test_an_item_matches_the_data_contract(world: World) -> None:
    sale = _sale(
        world,
        **OPTIONAL,
        listed_price=Decimal("500.0000"),
        sold_price=Decimal("450.5000"),
        recorded_at=datetime(2026, 3, 15, 10, 0, 0, 125000, tzinfo=UTC),
        embedding=array("f", [0.1, -2, 1e-30]),
    )
    _put(world, sale)
    day = TODAY.isoformat()
    expires = datetime(TODAY.year + 2, TODAY.month, TODAY.day, tzinfo=UTC)
    assert _item(world, sale) == {
        "PK": {"S": f"TENANT#{world.tenant}#PRODUCT#product-1"},
        "SK": {"S": f"SALE#{day}#sale-1"},
        "GSI1PK": {"S": f"TENANT#{world.tenant}"},
        "GSI1SK": {"S": f"DATE#{day}#sale-1"},
        "GSI2PK": {"S": f"TENANT#{world.tenant}#EMBEDDING#{sale.embedding_shard}"},
        "GSI2SK": {"S": f"DATE#{day}"},
        "productId": {"S": "product-1"},
        "tenantId": {"S": world.tenant},
        "saleId": {"S": "sale-1"},
        "category": {"S": "handbags"},
        "brand": {"S": "Louis Vuitton"},
        "condition": {"S": "EXCELLENT"},
        "description": {"S": "Neverfull, größte Ausführung 🧥"},
        "listedPrice": {"N": "500"},
        "salePrice": {"N": "450.5"},
        "discountPercent": {"N": "9.9"},
        "saleDate": {"S": day},
        "season": {"S": f"Q{(TODAY.month + 2) // 3}"},
        "daysToSell": {"N": "0"},
        "imageS3Key": {"S": "images/1.jpg"},
        "embeddingId": {"S": "embedding-1"},
        "embedding": {"S": "[0.1,-2,1e-30]"},
        "embeddingDimension": {"N": "3"},
        "vendorId": {"S": "vendor-1"},
        "source": {"S": "carousel"},
        "recordCreatedAt": {"S": "2026-03-15T10:00:00.125000Z"},
        "eventTimestamp": {"S": day},
        "ttl": {"N": str(int(expires.timestamp()))},
    }


def test_absent_facts_are_absent_attributes(world: World) -> None:
    sale = _sale(world, listed_price=Decimal(0))
    _put(world, sale)
    absent = {"condition", "description", "vendorId", "imageS3Key", "embeddingId", "daysToSell", "discountPercent"}
    absent |= {"embedding", "embeddingDimension", "GSI2PK", "GSI2SK"}
    item = _item(world, sale)
    assert not item.keys() & absent
    assert not any("NULL" in value for value in item.values())


@pytest.mark.parametrize("price", ["0", "0.0001", "99999999999999.9999", "0.1000", "100"])
def test_prices_are_exact(world: World, price: str) -> None:
    sale = _sale(world, listed_price=Decimal(price), sold_price=Decimal(price))
    _put(world, sale)
    assert world.projection.find([sale], world.deadline()) == {sale.key: sale}


def test_a_repeat_changes_nothing(world: World) -> None:
    sale = _sale(world, **OPTIONAL, embedding=embedding(16))
    _put(world, sale)
    first = _item(world, sale)
    world.clock.advance(3600)
    _put(world, sale)
    assert _item(world, sale) == first


def test_an_item_is_read_as_it_was_written(world: World) -> None:
    """The repair compares stored items with those made of rows: their notation has to be the same."""
    sale = _sale(world, **OPTIONAL, sold_price=Decimal("333.3300"), embedding=embedding(16))
    _put(world, sale)
    assert _item(world, sale) == item_of(sale)


def test_500_sales_of_1024_dimensions(world: World) -> None:
    sales = [_sale(world, number, embedding=embedding(1024, seed=number)) for number in range(500)]
    _put(world, *sales)
    assert world.client.count(WRITE) == 500 / WRITE_LIMIT == 20
    assert world.projection.find(sales, world.deadline()) == {sale.key: sale for sale in sales}
    assert world.client.count(GET) == 500 / GET_LIMIT == 5


def test_every_read_is_strongly_consistent(world: World) -> None:
    world.projection.find([_sale(world)], world.deadline())
    world.guard.look([_sale(world).key], world.deadline())
    reads = [content for request in world.client.requests for content in request.arguments["RequestItems"].values()]
    assert [read["ConsistentRead"] for read in reads] == [True, True]


def test_items_that_exceed_one_answer_are_all_read(world: World) -> None:
    sales = [_sale(world, number, description="x" * 300_000) for number in range(60)]  # 18 MB; the limit is 16
    _put(world, *sales)
    assert world.projection.find(sales, world.deadline()).keys() == {sale.key for sale in sales}


@pytest.mark.parametrize("character", ["x", "é", "🧥"])
def test_an_item_that_is_not_rejected_can_be_stored(world: World, character: str) -> None:
    width = len(character.encode())
    room = ITEM_LIMIT_BYTES - item_size_bytes(item_of(_sale(world, description="")))
    largest = _sale(world, description=character * (room // width))
    too_large = _sale(world, description=character * (room // width + 1))
    assert world.projection.rejects(largest) is None
    assert world.projection.rejects(too_large) == Rejection(
        Reason.ITEM_TOO_LARGE, "detail: larger than a DynamoDB item may be (400 KB)"
    )
    _put(world, largest)
    assert world.projection.find([largest], world.deadline()) == {largest.key: largest}


def test_an_embedding_can_make_an_item_too_large(world: World) -> None:
    assert world.projection.rejects(_sale(world, embedding=embedding(4096), description="x" * 10_000)) is None
    assert world.projection.rejects(_sale(world, embedding=embedding(40_960))) is not None


def test_an_item_over_400_kb_is_refused_by_dynamodb(world: World) -> None:
    with pytest.raises(StoreUnavailable, match="BatchWriteItem"):
        world.projection.put([_sale(world, description="x" * (ITEM_LIMIT_BYTES + 1))], world.deadline())
    assert world.client.count(WRITE) == 1


@pytest.mark.parametrize(
    "fault", [unprocessed(0.0), unprocessed(0.4), request_lost, answer_lost, refused("SlowDown", 503)]
)
def test_unprocessed_items_are_retried(world: World, fault: Fault) -> None:
    sales = [_sale(world, number) for number in range(130)]
    world.client.plan(WRITE, *[fault] * 8)
    _put(world, *sales)
    world.client.plan(GET, *[fault] * 3)
    assert world.projection.find(sales, world.deadline()) == {sale.key: sale for sale in sales}


@pytest.mark.parametrize("fault", [unprocessed(0.0), request_lost, refused("ThrottlingException")])
def test_items_not_stored_by_the_deadline_are_not_reported(world_in_turn: World, fault: Fault) -> None:
    world = world_in_turn
    sales = [_sale(world, number) for number in range(50)]
    world.client.plan(WRITE, passed)
    world.client.always(WRITE, fault)
    deadline = world.deadline()
    assert world.projection.put(sales, deadline) == {sale.key for sale in sales[:25]}
    assert 0 <= deadline.remaining_seconds() < 10


@pytest.mark.parametrize("fault", [unprocessed(0.0), request_lost, refused("ThrottlingException")])
def test_a_look_up_is_complete_or_fails(world_in_turn: World, fault: Fault) -> None:
    world = world_in_turn
    sales = [_sale(world, number) for number in range(150)]
    world.client.plan(GET, passed)
    world.client.always(GET, fault)
    with pytest.raises(OutOfTime, match=rf"{world.store.projection_name}: 50 of 150 items could not be read in time"):
        world.projection.find(sales, world.deadline())


def test_the_same_product_sold_twice_is_two_items(world: World) -> None:
    first, again = _sale(world, 1), _sale(world, 2)
    _put(world, first, again)
    assert world.projection.find([first, again], world.deadline()) == {first.key: first, again.key: again}
    assert projection_key(first).partition == projection_key(again).partition


def test_indexes_find_the_expected_items(world_with_indexes: World) -> None:
    world = world_with_indexes
    sales = [
        _sale(
            world,
            number,
            product_id=f"product-{number}",
            sold_date=TODAY - timedelta(days=number),
            embedding=embedding(8, seed=number) if number % 2 else None,
        )
        for number in range(40)
    ]
    elsewhere = _sale(world, tenant_id=f"{world.tenant}-2", embedding=embedding(8))
    _put(world, *sales, elsewhere)

    last_30_days = _query(world, "GSI1", f"TENANT#{world.tenant}", TODAY - timedelta(days=29))
    assert [item["saleId"]["S"] for item in last_30_days] == [f"sale-{number}" for number in reversed(range(30))]
    assert not any("embedding" in item for item in last_30_days)
    assert {item["salePrice"]["N"] for item in last_30_days} == {"450.5"}

    with_embedding = [sale for sale in reversed(sales) if sale.embedding is not None]
    for shard in range(EMBEDDING_SHARDS):
        found = _query(world, "GSI2", f"TENANT#{world.tenant}#EMBEDDING#{shard}", date(2000, 1, 1))
        assert found == [item_of(sale) for sale in with_embedding if sale.embedding_shard == shard]


def _query(world: World, index: str, partition: str, since: date) -> list[Item]:
    """Return a partition's items in an index from a date on, ordered by date."""
    answer = world.store.client.query(
        TableName=world.store.projection_name,
        IndexName=index,
        KeyConditionExpression="#p = :p AND #s >= :s",
        ExpressionAttributeNames={"#p": f"{index}PK", "#s": f"{index}SK"},
        ExpressionAttributeValues={":p": {"S": partition}, ":s": {"S": f"DATE#{since.isoformat()}"}},
    )
    items: list[Item] = answer["Items"]
    return items


def test_an_items_numbers_are_in_canonical_form() -> None:
    item = item_of(sale(**OPTIONAL, listed_price=Decimal("1E+3"), sold_price=Decimal("999.9990")))
    assert {name: stored(value) for name, value in item.items()} == item
