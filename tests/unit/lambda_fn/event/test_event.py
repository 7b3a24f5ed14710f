"""The rules of the event, field by field: what becomes a sale, and which reason and field a rejection names."""

from __future__ import annotations

import json
import math
from array import array
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_fn.event import parse_event, parse_message
from lambda_fn.ports import Reason, Rejection
from lambda_fn.sale import Sale
from tests.builders import ABSENT, FIRST_SEEN, body, embedding, event, read, read_text, sale

REQUIRED = ["tenantId", "productId", "category", "brand", "listedPrice", "salePrice", "soldDate"]
OPTIONAL = [
    "saleId",
    "condition",
    "description",
    "vendorId",
    "imageS3Key",
    "embeddingId",
    "daysToSell",
    "embedding",
]
TEXTS = [
    "tenantId",
    "productId",
    "saleId",
    "category",
    "brand",
    "condition",
    "description",
    "vendorId",
    "imageS3Key",
    "embeddingId",
]
KEY_PARTS = ["tenantId", "productId", "saleId"]
EVERYTHING: dict[str, Any] = {
    "condition": "like_new",
    "description": "Speedy 30 – très beau 👜",
    "vendorId": "vendor-1",
    "imageS3Key": "s3://images/1.jpg",
    "embeddingId": "embedding-1",
    "daysToSell": 12,
    "embedding": [0.5, -1, 2],
    "currency": "EUR",
}


def rejected(document: object) -> Rejection:
    content = read(document)
    assert isinstance(content, Rejection), content
    return content


def invalid_field(document: object) -> str:
    """Return the detail of a rejection, whose reason must be INVALID_FIELD."""
    rejection = rejected(document)
    assert rejection.reason is Reason.INVALID_FIELD
    return rejection.detail


def accepted(document: object) -> Sale:
    content = read(document)
    assert isinstance(content, Sale), content
    return content


# --- the whole event --------------------------------------------------------------------------------------------------


def test_every_field_arrives_in_the_sale() -> None:
    expected = sale(
        condition="like_new",
        description="Speedy 30 – très beau 👜",
        vendor_id="vendor-1",
        image_s3_key="s3://images/1.jpg",
        embedding_id="embedding-1",
        days_to_sell=12,
        embedding=array("f", [0.5, -1, 2]),
        currency="EUR",
    )
    assert accepted(event(**EVERYTHING)) == expected


def test_the_required_fields_are_sufficient() -> None:
    assert accepted(event()) == sale()


def test_text_and_decoded_event_give_the_same_sale() -> None:
    from_text = read_text(body(**EVERYTHING))
    assert from_text == accepted(event(**EVERYTHING))
    assert isinstance(from_text, Sale)
    assert from_text.payload_hash == accepted(event(**EVERYTHING)).payload_hash


def test_a_delivery_keeps_its_id_its_body_and_its_first_seen_time() -> None:
    text = "  " + body(description="ünï \\ \u2028") + "\n"
    delivery = parse_message("message-7", text, FIRST_SEEN)
    assert (delivery.delivery_id, delivery.body, delivery.first_seen) == ("message-7", text, FIRST_SEEN)
    refused = parse_message("message-8", "{", "")
    assert (refused.delivery_id, refused.body, refused.first_seen) == ("message-8", "{", "")
    direct = parse_event("direct", 5, "5", FIRST_SEEN)
    assert (direct.delivery_id, direct.body, direct.first_seen) == ("direct", "5", FIRST_SEEN)


def test_recorded_at_is_the_time_of_the_envelope() -> None:
    document = event() | {"time": "2026-03-15T11:30:00.250+01:00"}
    assert accepted(document).recorded_at == datetime(2026, 3, 15, 10, 30, 0, 250_000, tzinfo=UTC)


# --- the envelope -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "{", "sale", "{'a': 1}", "[1,]", '{"a":1}}', "NaN", "\ufeff{}", '"\\ud800"'])
def test_invalid_json_is_rejected(text: str) -> None:
    content = read_text(text)
    assert isinstance(content, Rejection)
    assert content.reason is Reason.INVALID_JSON


@pytest.mark.parametrize("price", ["450.5", "450.50000000000000"])
def test_deep_nesting_never_raises(price: str) -> None:
    """Two parsers read an event with a long price, and each has its own limit of nesting."""
    for depth in [*range(900, 1100, 7), 5_000, 20_000]:
        text = body(deep="DEEP").replace('"DEEP"', "[" * depth + "]" * depth).replace("450.5", price)
        delivery = parse_message("1", text, FIRST_SEEN)
        assert delivery.body == text
        if isinstance(delivery.content, Rejection):
            assert delivery.content.reason is Reason.INVALID_JSON
        else:
            assert delivery.content == sale()
            assert depth < 5_000


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "sale", [], [event()]])
def test_an_event_that_is_not_an_object_is_not_a_sale(document: object) -> None:
    assert rejected(document) == Rejection(Reason.NOT_A_SALE, "the event is not a JSON object")


@pytest.mark.parametrize("value", [None, "", "carousel.product.listed", "CAROUSEL.PRODUCT.SOLD", 1, ["x"], {}])
def test_another_detail_type_is_not_a_sale(value: object) -> None:
    rejection = rejected(event() | {"detail-type": value})
    assert rejection == Rejection(Reason.NOT_A_SALE, "detail-type: must be carousel.product.sold")


@pytest.mark.parametrize("value", [None, "", "carousel.product", "aws.s3", 1, {}])
def test_another_source_is_not_a_sale(value: object) -> None:
    rejection = rejected(event() | {"source": value})
    assert rejection == Rejection(Reason.NOT_A_SALE, "source: must be carousel.products")


@pytest.mark.parametrize("name", ["detail-type", "source"])
def test_an_envelope_without_detail_type_or_source_is_not_a_sale(name: str) -> None:
    document = event()
    del document[name]
    assert rejected(document).reason is Reason.NOT_A_SALE


@pytest.mark.parametrize("value", [None, "", "{}", 1, [], json.dumps(event()["detail"])])
def test_a_detail_that_is_not_an_object_is_rejected(value: object) -> None:
    assert invalid_field(event() | {"detail": value}) == "detail: must be an object"


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "2026-03-15", "2026-03-15T10:00:00", 1773568800, "2026-03-15 10:00:00Z", ["x"]]
)
def test_an_event_needs_a_time_with_a_zone(value: object) -> None:
    assert invalid_field(event() | {"time": value}).startswith("time: ")


def test_other_members_of_the_envelope_do_not_matter() -> None:
    bare = {name: event()[name] for name in ("detail-type", "source", "time", "detail")}
    assert accepted(bare) == sale()
    assert accepted(event() | {"version": 7, "id": None, "resources": "x", "surprise": {}}) == sale()


# --- presence and types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [ABSENT, None], ids=["absent", "null"])
def test_a_missing_required_field_is_rejected(name: str, value: object) -> None:
    assert invalid_field(event(**{name: value})) == f"detail.{name}: Field required"


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_in_an_optional_field_means_absent(name: str) -> None:
    with_null = accepted(event(**EVERYTHING | {name: None}))
    assert with_null == accepted(event(**EVERYTHING | {name: ABSENT}))
    assert with_null != accepted(event(**EVERYTHING))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [450, 4.5, True, False, ["x"], {"x": "y"}])
def test_a_text_field_accepts_only_text(name: str, value: object) -> None:
    assert invalid_field(event(**{name: value})) == f"detail.{name}: Input should be a valid string"


@pytest.mark.parametrize("name", ["listedPrice", "salePrice"])
@pytest.mark.parametrize("value", ["450", "", True, False, [450], {"amount": 450}])
def test_a_price_accepts_only_numbers(name: str, value: object) -> None:
    assert invalid_field(event(**{name: value})) == f"detail.{name}: must be a number"


@pytest.mark.parametrize("value", ["12", True, False, 12.5, 12.0, [12], {}])
def test_days_to_sell_accepts_only_integers(value: object) -> None:
    assert invalid_field(event(daysToSell=value)) == "detail.daysToSell: Input should be a valid integer"


@pytest.mark.parametrize("value", [20260314, 1.5, True, ["2026-03-14"], {}])
def test_the_sold_date_accepts_only_text(value: object) -> None:
    assert invalid_field(event(soldDate=value)).startswith("detail.soldDate: ")


@pytest.mark.parametrize("value", ["[1,2]", 1, True, {}, {"0": 1}, [], [0.5] * 4097, [0.5] * 5000])
def test_an_embedding_is_an_array_of_1_to_4096(value: object) -> None:
    assert invalid_field(event(embedding=value)) == "detail.embedding: must be an array of 1 to 4096 numbers"


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEY_PARTS)
@pytest.mark.parametrize("character", ["#", "\x00", "\t", "\n", "\x1f", "\x7f", "\x80", "\x9f"])
def test_an_id_must_not_contain_a_hash_or_a_control_character(name: str, character: str) -> None:
    detail = f"detail.{name}: must not contain '#' or control characters"
    assert invalid_field(event(**{name: f"a{character}b"})) == detail
    assert invalid_field(event(**{name: character})) == detail


@pytest.mark.parametrize("name", KEY_PARTS)
@pytest.mark.parametrize("value", [" ", "~", "\xa0", "ü", "商品", "👜", "../..", "' OR 1=1 --", "<script>", "a|b"])
def test_an_id_may_contain_any_other_character(name: str, value: str) -> None:
    found = accepted(event(**{name: value}))
    assert {"tenantId": found.tenant_id, "productId": found.product_id, "saleId": found.sale_id}[name] == value


@pytest.mark.parametrize(
    ("name", "limit"),
    [("tenantId", 128), ("productId", 128), ("saleId", 128), ("category", 256), ("brand", 256)],
)
def test_required_texts_have_a_minimum_and_a_maximum_length(name: str, limit: int) -> None:
    accepted(event(**{name: "x"}))
    accepted(event(**{name: "x" * limit}))
    accepted(event(**{name: "👜" * limit}))
    assert invalid_field(event(**{name: ""})).startswith(f"detail.{name}: ")
    assert invalid_field(event(**{name: "x" * (limit + 1)})).startswith(f"detail.{name}: ")


def test_a_description_has_at_most_10000_characters() -> None:
    assert accepted(event(description="é" * 10_000)).description == "é" * 10_000
    assert invalid_field(event(description="é" * 10_001)).startswith("detail.description: ")


@pytest.mark.parametrize("name", ["condition", "description", "vendorId", "imageS3Key", "embeddingId"])
@pytest.mark.parametrize("value", ["", "#", "\x00\n\x7f", " "])
def test_optional_texts_may_contain_any_character(name: str, value: str) -> None:
    assert value in vars(accepted(event(**{name: value}))).values()


@pytest.mark.parametrize("name", TEXTS)
def test_a_lone_surrogate_is_rejected(name: str) -> None:
    assert invalid_field(event(**{name: "a\ud800b"})).startswith(f"detail.{name}: ")


# --- numbers that are not prices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 1, 36_500])
def test_days_to_sell_from_0_to_36500_are_accepted(days: int) -> None:
    assert accepted(event(daysToSell=days)).days_to_sell == days


@pytest.mark.parametrize("days", [-1, 36_501, 2**31, 2**64, -(2**63), 10**400])
def test_other_days_to_sell_are_rejected(days: int) -> None:
    assert invalid_field(event(daysToSell=days)).startswith("detail.daysToSell: ")


@pytest.mark.parametrize("dimension", [1, 3, 1024, 4096])
def test_embeddings_of_every_size_are_accepted(dimension: int) -> None:
    vector = embedding(dimension)
    assert accepted(event(embedding=list(vector))).embedding == vector


@pytest.mark.parametrize("number", [None, "0.5", True, False, [0.5], {}])
def test_an_embedding_accepts_only_numbers(number: object) -> None:
    assert invalid_field(event(embedding=[0.5, number])) == "detail.embedding: must contain numbers only"


LARGEST_FLOAT32 = 3.4028234663852886e38
SMALLEST_FLOAT32 = 1.401298464324817e-45


@pytest.mark.parametrize(
    "number",
    [math.nan, math.inf, -math.inf, 1e39, -1e39, 3.4028235677973366e38, 1.7e308, 10**39, -(10**39), 10**400],
)
def test_an_embedding_accepts_only_finite_32_bit_floats(number: float) -> None:
    expected = "detail.embedding: must contain finite 32-bit floats only"
    assert invalid_field(event(embedding=[0.5, number])) == expected
    assert invalid_field(event(embedding=[number, -number])) == expected


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        (LARGEST_FLOAT32, LARGEST_FLOAT32),
        (-LARGEST_FLOAT32, -LARGEST_FLOAT32),
        (3.4028235677973362e38, LARGEST_FLOAT32),
        (SMALLEST_FLOAT32, SMALLEST_FLOAT32),
        (1e-60, 0.0),
        (16_777_217, 16_777_216.0),
        (0.1, 0.10000000149011612),
        (7, 7.0),
    ],
)
def test_an_embedding_is_rounded_to_32_bits(number: float, stored: float) -> None:
    assert accepted(event(embedding=[number])).embedding == array("f", [stored])


def test_4096_of_the_largest_floats_are_accepted() -> None:
    assert accepted(event(embedding=[LARGEST_FLOAT32] * 4096)).embedding == array("f", [LARGEST_FLOAT32] * 4096)


def test_an_embedding_keeps_the_sign_of_zero() -> None:
    vector = accepted(event(embedding=[-0.0, 0.0])).embedding
    assert vector is not None
    assert [math.copysign(1, number) for number in vector] == [-1.0, 1.0]


# --- unknown fields, duplicate keys, escapes, currency ----------------------------------------------------------------


def test_unknown_fields_are_tolerated_and_listed() -> None:
    delivery = parse_event("direct", event(zebra=1, apple=None, tenant_id="x", **{"#": {}}), "", FIRST_SEEN)
    assert delivery.content == sale()
    assert delivery.unknown_fields == ("#", "apple", "tenant_id", "zebra")
    assert parse_event("direct", event(**EVERYTHING), "", FIRST_SEEN).unknown_fields == ()


def test_an_unknown_field_does_not_replace_a_missing_one() -> None:
    assert invalid_field(event(tenantId=ABSENT, tenant_id="x", TenantId="x")) == "detail.tenantId: Field required"


def test_the_last_of_duplicate_keys_counts() -> None:
    text = body().replace('"brand":', '"brand": 7, "salePrice": "x", "brand":')
    assert read_text(text) == sale()
    rejection = read_text(body().replace('"salePrice": 450.5', '"salePrice": 450.5, "salePrice": 450.12345'))
    assert rejection == Rejection(Reason.INVALID_FIELD, "detail.salePrice: must have at most 4 decimals")
    twice = body()[:-1] + ', "detail": {}}'
    assert read_text(twice) == Rejection(Reason.INVALID_FIELD, "detail.tenantId: Field required")


def test_escapes_in_names_and_texts_are_decoded() -> None:
    text = body(brand="Speedy").replace("Speedy", "\\u0053\\u0070eedy").replace("tenantId", "\\u0074enantId")
    assert read_text(text) == sale(brand="Speedy")


def test_a_rejection_names_the_first_invalid_field_and_no_value() -> None:
    content = rejected(event(brand=7, salePrice="hunter2", tenantId="hunter2#"))
    assert content.detail == "detail.tenantId: must not contain '#' or control characters"


def test_optional_facts_change_the_payload_hash() -> None:
    assert replace(accepted(event()), brand="x") == accepted(event(brand="x"))
    assert accepted(event()) != accepted(event(brand="x"))


@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "XXX"])
def test_a_currency_code_is_accepted_unchanged(currency: str) -> None:
    assert accepted(event(currency=currency)).currency == currency


@pytest.mark.parametrize("currency", ["", "eur", "EU", "EURO", "EUR ", "€UR", "ÄÖÜ", "978", "EUR\n", 978, ["EUR"]])
def test_other_currencies_are_rejected(currency: object) -> None:
    assert invalid_field(event(currency=currency)).startswith("detail.currency: ")
