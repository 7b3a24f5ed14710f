"""Realistic sales as EventBridge events: reproducible from a seed, in any number, one at a time.

Sale number i depends on nothing but the recipe and i. So a duplicate can be made from any earlier sale without keeping
it, and a million events need no more memory than one.
"""

from __future__ import annotations

import math
import random
import uuid
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from carousel_sync.events import product_catalogue as catalogue
from carousel_sync.events.invalid_sales import INVALID_KINDS, InvalidKind
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import EMBEDDING_LIMIT, EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE

ACCOUNT: Final = "000000000000"
SHARE_WITH_SALE_ID: Final = 0.7
OLDEST_SALE_DAYS: Final = 150
TYPICAL_SALE_DAYS: Final = 35
MILLISECONDS: Final = 1000

# Every 25th sale is the same product sold once more: it comes back to the shop, and is a sale of its own.
RESALE_EVERY: Final = 25
RESALE_OF_EARLIER: Final = 12

Detail = dict[str, Any]
Envelope = dict[str, Any]


class Kind(StrEnum):
    """What an event is meant to be."""

    SALE = "sale"
    DUPLICATE = "duplicate"
    INVALID = "invalid"


@dataclass(frozen=True)
class Recipe:
    """What to generate. The same recipe gives the same events, and a longer one starts with the same sales.

    ``count`` is the number of events in all; ``duplicates`` and ``invalid`` are shares of it; ``until`` is the day
    after the latest sold date. Raises ConfigurationError for shares or sizes that make no sense.
    """

    count: int
    seed: int
    until: date
    tenants: int = 3
    duplicates: float = 0.1
    invalid: float = 0.02
    embedding: int = 1024

    def __post_init__(self) -> None:
        if self.count < 1 or self.tenants < 1:
            raise ConfigurationError("--count and --tenants have to be at least 1. Nothing was generated.")
        if min(self.duplicates, self.invalid) < 0 or self.duplicates + self.invalid > 1 or self.sales < 1:
            raise ConfigurationError(
                "--duplicates and --invalid are shares of --count (0.1 is a tenth) and have to leave at least one "
                "valid sale. Nothing was generated."
            )
        if not 0 <= self.embedding <= EMBEDDING_LIMIT:
            raise ConfigurationError(
                f"--embedding is the number of values, from 0 (no embedding) to {EMBEDDING_LIMIT}. "
                "Nothing was generated."
            )

    @property
    def duplicate_events(self) -> int:
        """How many events repeat an earlier sale."""
        return round(self.count * self.duplicates)

    @property
    def invalid_events(self) -> int:
        """How many events have to be rejected."""
        return round(self.count * self.invalid)

    @property
    def sales(self) -> int:
        """How many distinct valid sales there are: the rows that must be in the table in the end."""
        return self.count - self.duplicate_events - self.invalid_events


@dataclass(frozen=True)
class GeneratedEvent:
    """An event with what it is meant to be; ``invalid_kind`` tells which rule an invalid one breaks."""

    kind: Kind
    envelope: Envelope
    invalid_kind: str | None = None


def generate(recipe: Recipe) -> Iterator[GeneratedEvent]:
    """Yield the events in the order in which they are to be sent: a duplicate always after its sale."""
    random_order = _random(recipe, "order")
    sales_so_far = 0
    turn = -1
    for number, kind in enumerate(_kinds(recipe, random_order)):
        if kind is Kind.SALE:
            detail, sold_at = sale(recipe, sales_so_far)
            sales_so_far += 1
            yield GeneratedEvent(kind, _envelope(recipe, number, detail, sold_at))
        elif kind is Kind.DUPLICATE:
            detail, sold_at = sale(recipe, _to_repeat(random_order, sales_so_far))
            delay = timedelta(seconds=random_order.randrange(1, 3600))
            yield GeneratedEvent(kind, _envelope(recipe, number, detail, sold_at + delay))
        else:
            turn += 1
            if INVALID_KINDS[turn % len(INVALID_KINDS)].contradicts and sales_so_far < CONTRADICTED_EVERY:
                turn += 1
            yield _invalid(recipe, number, INVALID_KINDS[turn % len(INVALID_KINDS)], sales_so_far)


def sale(recipe: Recipe, number: int) -> tuple[Detail, datetime]:
    """Return sale number i, as an event's detail, and the instant of the sale."""
    resale = number % RESALE_EVERY == RESALE_EVERY - 1
    product_number = number - RESALE_OF_EARLIER if resale else number
    detail, price = _product(recipe, product_number)
    sold_at = _sold_at(recipe, product_number)
    chance = _random(recipe, f"sale {number}")
    if resale:
        sold_at -= timedelta(days=chance.randrange(7, 29))
    detail["salePrice"] = _sold_price(chance, price)
    detail["soldDate"] = _spell_sold_date(chance, sold_at)
    detail["daysToSell"] = min(365, int(chance.expovariate(1 / 21)))
    if _happens(chance, SHARE_WITH_SALE_ID):
        detail["saleId"] = f"SALE-{int(sold_at.timestamp()) * MILLISECONDS}-{chance.getrandbits(48):012x}"
    if recipe.embedding:
        detail["embeddingId"] = f"emb-{detail['productId'].removeprefix('PROD-').lower()}"
        detail["embedding"] = _embedding(chance, detail["category"], detail["brand"], recipe.embedding)
    return {name: value for name, value in detail.items() if value is not None}, sold_at


def _product(recipe: Recipe, number: int) -> tuple[Detail, float]:
    chance = _random(recipe, f"product {number}")
    tenants = catalogue.tenant_names(recipe.tenants)
    tenant = chance.choices(tenants, [1 / (rank + 1) for rank in range(len(tenants))])[0]
    category = chance.choice(catalogue.CATEGORIES)
    brand = chance.choice(category.brands)
    initials = "".join(word[0] for word in brand.upper().split() if word[0].isalpha())
    product_id = f"PROD-{initials}-{number:07}{chance.getrandbits(20):05x}"
    # Prices spread evenly over orders of magnitude: many cheap products, few dear ones.
    price = math.exp(chance.uniform(math.log(category.lowest_price), math.log(category.highest_price)))
    listed_price = _amount(round(price, -1) if _happens(chance, 0.8) else price)
    model, colour = chance.choice(category.models), chance.choice(catalogue.COLOURS)
    detail: Detail = {
        "productId": product_id,
        "tenantId": tenant,
        "category": category.name,
        "brand": brand,
        "condition": chance.choices(catalogue.CONDITIONS, (1, 4, 5, 3, 1))[0],
        "description": f"{brand} {model} in {colour}" if _happens(chance, 0.9) else None,
        "listedPrice": listed_price,
        "imageS3Key": f"s3://carousel-images/products/{product_id}.jpg",
        "vendorId": f"VENDOR-{chance.randrange(1, 400):03}" if _happens(chance, 0.85) else None,
    }
    return detail, listed_price


def _sold_at(recipe: Recipe, product_number: int) -> datetime:
    chance = _random(recipe, f"date {product_number}")
    days_ago = 1 + min(OLDEST_SALE_DAYS, int(chance.expovariate(1 / TYPICAL_SALE_DAYS)))
    midnight = datetime.combine(recipe.until - timedelta(days=days_ago), time(), tzinfo=UTC)
    return midnight + timedelta(seconds=chance.randrange(24 * 3600))


def _sold_price(chance: random.Random, listed_price: float) -> float:
    """Most sell below the listed price, a quarter at it, and a few above."""
    if _happens(chance, 0.25):
        return listed_price
    above = _happens(chance, 0.04)
    return _amount(listed_price * (chance.uniform(1.01, 1.1) if above else chance.uniform(0.55, 0.98)))


def _amount(value: float) -> float:
    """Return an amount with at most two decimals, spelled as JSON producers do: 450 and not 450.0."""
    return int(value) if value == int(value) else round(value, 2)


def _spell_sold_date(chance: random.Random, sold_at: datetime) -> str:
    """Spell the date in one of the ways that producers have; the offset may name the next day, UTC counts."""
    spellings = (
        sold_at.date().isoformat(),
        sold_at.isoformat().replace("+00:00", "Z"),
        sold_at.astimezone(timezone(timedelta(hours=2))).isoformat(),
    )
    return chance.choices(spellings, (70, 15, 15))[0]


def _embedding(chance: random.Random, category: str, brand: str, dimension: int) -> list[float]:
    """Return a unit vector near those of the same category and brand."""
    noise = array("h", chance.randbytes(2 * dimension))
    values = [centre + 0.5 * step for centre, step in zip(_centre(category, brand, dimension), noise, strict=True)]
    length = math.hypot(*values)
    return [round(value / length, 7) for value in values]


@lru_cache(maxsize=64)
def _centre(category: str, brand: str, dimension: int) -> tuple[int, ...]:
    chance = random.Random(f"{category}|{brand}")  # noqa: S311 - test data
    return tuple(array("h", chance.randbytes(2 * dimension)))


def _envelope(recipe: Recipe, number: int, detail: Detail, sold_at: datetime) -> Envelope:
    chance = _random(recipe, f"envelope {number}")
    told_at = sold_at + timedelta(seconds=chance.randrange(1, 120))
    return {
        "version": "0",
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "detail-type": EVENT_TYPE,
        "source": EVENT_SOURCE,
        "account": ACCOUNT,
        "time": told_at.isoformat().replace("+00:00", "Z"),
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def _kinds(recipe: Recipe, chance: random.Random) -> list[Kind]:
    kinds = [Kind.SALE] * recipe.sales
    kinds += [Kind.DUPLICATE] * recipe.duplicate_events
    kinds += [Kind.INVALID] * recipe.invalid_events
    chance.shuffle(kinds)
    # Something has to be there before it can be repeated.
    first_sale = kinds.index(Kind.SALE)
    kinds[0], kinds[first_sale] = kinds[first_sale], kinds[0]
    return kinds


# Every fifth sale may be contradicted and is never repeated, the others the other way round: whichever of two
# contradicting events is handled first, exactly one of them is rejected.
CONTRADICTED_EVERY: Final = 5


def _to_repeat(chance: random.Random, sales_so_far: int) -> int:
    """Choose an earlier sale: half of the time a recent one, as a retry is, else any."""
    oldest = max(0, sales_so_far - 10) if _happens(chance, 0.5) else 0
    number = chance.randrange(oldest, sales_so_far)
    return number - 1 if number % CONTRADICTED_EVERY == CONTRADICTED_EVERY - 1 else number


def _invalid(recipe: Recipe, number: int, kind: InvalidKind, sales_so_far: int) -> GeneratedEvent:
    """Return an event that contradicts a sale that was sent, or tells of one of its own, past the valid ones."""
    spoiled = recipe.sales + number
    if kind.contradicts:
        chance = _random(recipe, f"contradiction {number}")
        spoiled = chance.randrange(CONTRADICTED_EVERY - 1, sales_so_far, CONTRADICTED_EVERY)
    detail, sold_at = sale(recipe, spoiled)
    return GeneratedEvent(Kind.INVALID, _envelope(recipe, number, kind.spoil(detail, number), sold_at), kind.name)


def _happens(chance: random.Random, share: float) -> bool:
    return chance.random() < share


def _random(recipe: Recipe, purpose: str) -> random.Random:
    run = f"{recipe.seed}|{recipe.until}|{recipe.tenants}|{recipe.embedding}"
    return random.Random(f"{run}|{purpose}")  # noqa: S311 - test data
