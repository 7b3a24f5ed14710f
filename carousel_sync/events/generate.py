"""Generating realistic sales as EventBridge events, reproducible from a seed.

Sale number i depends on the recipe and i alone. A duplicate of an earlier sale is therefore generated again rather than
kept, and a million events need no more memory than one.
"""

from __future__ import annotations

import itertools
import math
import random
import uuid
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import orjson

from carousel_sync.events.invalid_sales import DEFECTS, Defect, Detail
from carousel_sync.events.product_catalogue import CATALOGUE
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import EMBEDDING_LIMIT, EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE

ACCOUNT: Final = "000000000000"
SHARE_WITH_SALE_ID: Final = 0.7
COUNT_LIMIT: Final = 10_000_000
"""The order of the events is kept in memory."""
TENANTS_LIMIT: Final = 10_000
"""Each sale chooses among all tenants."""
OLDEST_SALE_DAYS: Final = 150
TYPICAL_SALE_DAYS: Final = 35
MILLISECONDS: Final = 1000

# Every 25th sale is a product of an earlier sale that came back to the shop and is sold again: a sale of its own.
RESALE_EVERY: Final = 25
RESALE_OF_EARLIER: Final = 12
# Of every five sales one may be contradicted, and is never repeated; the other four may be repeated, and are never
# contradicted. So exactly one of two contradicting events is rejected, whichever of them is processed first.
CONTRADICTED_EVERY: Final = 5

Envelope = dict[str, Any]


class Role(StrEnum):
    """What an event is for: a new sale, a duplicate of an earlier sale, or an event that must be rejected."""

    SALE = "sale"
    DUPLICATE = "duplicate"
    INVALID = "invalid"


@dataclass(frozen=True)
class Recipe:
    """What to generate. The same recipe generates the same events; a larger count begins with the same sales.

    ``count`` is the number of events in all, and ``duplicates`` and ``invalid`` are shares of it. ``until`` is the day
    after the latest possible sold date. ``embedding`` is the number of values in each embedding. Raises
    ConfigurationError for values out of range.
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
            raise ConfigurationError("--count and --tenants must be at least 1. Nothing was generated.")
        if self.count > COUNT_LIMIT:
            raise ConfigurationError(
                f"--count is at most {COUNT_LIMIT:,}, because the order of the events is kept in memory. For more, run "
                "the command several times with different seeds. Nothing was generated."
            )
        if self.tenants > TENANTS_LIMIT:
            raise ConfigurationError(
                f"--tenants is at most {TENANTS_LIMIT:,}, because each sale chooses among all of them. Nothing was "
                "generated."
            )
        if min(self.duplicates, self.invalid) < 0 or self.duplicates + self.invalid > 1 or self.sales < 1:
            raise ConfigurationError(
                "--duplicates and --invalid are shares of --count (0.1 is a tenth), and must leave at least one valid "
                "sale. Nothing was generated."
            )
        if not 0 <= self.embedding <= EMBEDDING_LIMIT:
            raise ConfigurationError(
                f"--embedding is a number of values, from 0 (no embedding) to {EMBEDDING_LIMIT}. Nothing was generated."
            )

    @property
    def sales(self) -> int:
        """The number of distinct valid sales, and so of rows in the table in the end."""
        return self.count - round(self.count * self.duplicates) - round(self.count * self.invalid)


@dataclass(frozen=True)
class GeneratedEvent:
    """An event and its role. ``defect`` names what is wrong with an invalid event."""

    role: Role
    envelope: Envelope
    defect: str | None = None


def generate(recipe: Recipe) -> Iterator[GeneratedEvent]:
    """Yield the events in the order to send them. A duplicate always follows its sale."""
    rng = _random(recipe, "order")
    defects = deque(DEFECTS)
    sales_so_far = 0
    for number, role in enumerate(_roles(recipe, rng)):
        if role is Role.SALE:
            detail, sold_at = sale(recipe, sales_so_far)
            sales_so_far += 1
            yield GeneratedEvent(role, _envelope(recipe, number, detail, sold_at))
        elif role is Role.DUPLICATE:
            detail, sold_at = sale(recipe, _to_repeat(rng, sales_so_far))
            delay = timedelta(seconds=rng.randrange(1, 3600))
            yield GeneratedEvent(role, _envelope(recipe, number, detail, sold_at + delay))
        else:
            # A contradiction needs an earlier sale: until there is one, the defect after it goes first.
            position = int(defects[0].contradicts and sales_so_far < CONTRADICTED_EVERY)
            defect = defects[position]
            del defects[position]
            defects.append(defect)
            yield _invalid(recipe, number, defect, sales_so_far)


def event_bytes(recipe: Recipe) -> int:
    """Return the size of a typical event as JSON text, in bytes."""
    (event,) = generate(replace(recipe, count=1, duplicates=0.0, invalid=0.0))
    return len(orjson.dumps(event.envelope))


def sale(recipe: Recipe, number: int) -> tuple[Detail, datetime]:
    """Return the detail of the sale with this number, and the time of the sale."""
    resale = number % RESALE_EVERY == RESALE_EVERY - 1
    product_number = number - RESALE_OF_EARLIER if resale else number
    detail, price = _product(recipe, product_number)
    sold_at = _sold_at(recipe, product_number)
    rng = _random(recipe, f"sale {number}")
    if resale:
        sold_at -= timedelta(days=rng.randrange(7, 29))
    detail["salePrice"] = _sold_price(rng, price)
    detail["soldDate"] = _format_sold_date(rng, sold_at)
    detail["daysToSell"] = min(365, int(rng.expovariate(1 / 21)))
    if _happens(rng, SHARE_WITH_SALE_ID):
        detail["saleId"] = f"SALE-{int(sold_at.timestamp()) * MILLISECONDS}-{rng.getrandbits(48):012x}"
    if recipe.embedding:
        detail["embeddingId"] = f"emb-{detail['productId'].removeprefix('PROD-').lower()}"
        detail["embedding"] = _embedding(rng, detail["category"], detail["brand"], recipe.embedding)
    return _without_nulls(detail), sold_at


def _product(recipe: Recipe, number: int) -> tuple[Detail, float]:
    rng = _random(recipe, f"product {number}")
    numbered = (f"tenant-{index + 1:03}" for index in itertools.count(len(CATALOGUE.tenants)))
    tenants = list(itertools.islice(itertools.chain(CATALOGUE.tenants, numbered), recipe.tenants))
    tenant = rng.choices(tenants, [1 / (rank + 1) for rank in range(len(tenants))])[0]
    category = rng.choice(CATALOGUE.categories)
    brand = rng.choice(category.brands)
    initials = "".join(word[0] for word in brand.upper().split() if word[0].isalpha())
    product_id = f"PROD-{initials}-{number:07}{rng.getrandbits(20):05x}"
    # Log-uniform: many cheap products, few expensive ones.
    price = math.exp(rng.uniform(*map(math.log, category.prices)))
    listed_price = _amount(round(price, -1) if _happens(rng, 0.8) else price)
    model, colour = rng.choice(category.models), rng.choice(CATALOGUE.colours)
    detail: Detail = {
        "productId": product_id,
        "tenantId": tenant,
        "category": category.name,
        "brand": brand,
        "condition": rng.choices([*CATALOGUE.conditions], [*CATALOGUE.conditions.values()])[0],
        "description": f"{brand} {model} in {colour}" if _happens(rng, 0.9) else None,
        "listedPrice": listed_price,
        "imageS3Key": f"s3://carousel-images/products/{product_id}.jpg",
        "vendorId": f"VENDOR-{rng.randrange(1, 400):03}" if _happens(rng, 0.85) else None,
    }
    return detail, listed_price


def _sold_at(recipe: Recipe, product_number: int) -> datetime:
    rng = _random(recipe, f"date {product_number}")
    days_ago = 1 + min(OLDEST_SALE_DAYS, int(rng.expovariate(1 / TYPICAL_SALE_DAYS)))
    midnight = datetime.combine(recipe.until - timedelta(days=days_ago), time(), tzinfo=UTC)
    return midnight + timedelta(seconds=rng.randrange(24 * 3600))


def _sold_price(rng: random.Random, listed_price: float) -> float:
    """Return a price: mostly below the listed price, for a quarter of the sales equal to it, and for a few above it."""
    if _happens(rng, 0.25):
        return listed_price
    above = _happens(rng, 0.04)
    return _amount(listed_price * (rng.uniform(1.01, 1.1) if above else rng.uniform(0.55, 0.98)))


def _amount(value: float) -> float:
    """Round to two decimals; return a whole amount as an integer, so that JSON has 450 rather than 450.0."""
    return int(value) if value == int(value) else round(value, 2)


def _format_sold_date(rng: random.Random, sold_at: datetime) -> str:
    """Format the date in one of the formats that producers use. With an offset it may be the next day's date."""
    formats = (
        sold_at.date().isoformat(),
        sold_at.isoformat().replace("+00:00", "Z"),
        sold_at.astimezone(timezone(timedelta(hours=2))).isoformat(),
    )
    return rng.choices(formats, (70, 15, 15))[0]


def _embedding(rng: random.Random, category: str, brand: str, dimension: int) -> list[float]:
    """Return a unit vector that is close to the others of the same category and brand."""
    noise = array("h", rng.randbytes(2 * dimension))
    values = [centre + 0.5 * step for centre, step in zip(_centre(category, brand, dimension), noise, strict=True)]
    length = math.hypot(*values)
    return [round(value / length, 7) for value in values]


@lru_cache(maxsize=64)
def _centre(category: str, brand: str, dimension: int) -> tuple[int, ...]:
    rng = random.Random(f"{category}|{brand}")  # noqa: S311 - test data
    return tuple(array("h", rng.randbytes(2 * dimension)))


def _envelope(recipe: Recipe, number: int, detail: Detail, sold_at: datetime) -> Envelope:
    rng = _random(recipe, f"envelope {number}")
    published_at = sold_at + timedelta(seconds=rng.randrange(1, 120))
    return {
        "version": "0",
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "detail-type": EVENT_TYPE,
        "source": EVENT_SOURCE,
        "account": ACCOUNT,
        "time": published_at.isoformat().replace("+00:00", "Z"),
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def _roles(recipe: Recipe, rng: random.Random) -> list[Role]:
    roles = [Role.SALE] * recipe.sales + [Role.DUPLICATE] * round(recipe.count * recipe.duplicates)
    roles += [Role.INVALID] * (recipe.count - len(roles))
    rng.shuffle(roles)
    # The first event must be a sale: a duplicate needs an earlier one.
    first_sale = roles.index(Role.SALE)
    roles[0], roles[first_sale] = roles[first_sale], roles[0]
    return roles


def _to_repeat(rng: random.Random, sales_so_far: int) -> int:
    """Choose the sale to repeat: half of the time one of the last ten, as a retry would, otherwise any."""
    oldest = max(0, sales_so_far - 10) if _happens(rng, 0.5) else 0
    number = rng.randrange(oldest, sales_so_far)
    return number - 1 if number % CONTRADICTED_EVERY == CONTRADICTED_EVERY - 1 else number


def _invalid(recipe: Recipe, number: int, defect: Defect, sales_so_far: int) -> GeneratedEvent:
    """Return an event with a defect: a contradiction of an earlier sale, or a sale that no valid event reports."""
    sale_number = recipe.sales + number
    if defect.contradicts:
        rng = _random(recipe, f"contradiction {number}")
        sale_number = rng.randrange(CONTRADICTED_EVERY - 1, sales_so_far, CONTRADICTED_EVERY)
    detail, sold_at = sale(recipe, sale_number)
    changed = _without_nulls(detail | defect.changes(detail, number))
    return GeneratedEvent(Role.INVALID, _envelope(recipe, number, changed, sold_at), defect.name)


def _without_nulls(detail: Detail) -> Detail:
    return {name: value for name, value in detail.items() if value is not None}


def _happens(rng: random.Random, probability: float) -> bool:
    return rng.random() < probability


def _random(recipe: Recipe, purpose: str) -> random.Random:
    run = f"{recipe.seed}|{recipe.until}|{recipe.tenants}|{recipe.embedding}"
    return random.Random(f"{run}|{purpose}")  # noqa: S311 - test data
