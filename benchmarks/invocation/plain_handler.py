"""The anchor: the same steps as one would write them with boto3, pydantic and pyiceberg, item by item.

It claims, looks up, appends, projects and completes as the function does, but without the rules that make the function
exactly-once. It uses sixteen threads, because a single one would wait most of the time. This module imports nothing of
the project, so that its cold start can be measured too.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import BaseModel
from pyiceberg.catalog import load_catalog
from pyiceberg.io import load_file_io
from pyiceberg.table import Table

THREADS: Final = 16
_QUARTER_MONTHS: Final = 3


class PlainDetail(BaseModel):
    """The detail of an event."""

    tenantId: str  # noqa: N815 (the event's own names)
    productId: str  # noqa: N815
    category: str
    brand: str
    listedPrice: Decimal  # noqa: N815
    salePrice: Decimal  # noqa: N815
    soldDate: str  # noqa: N815
    saleId: str | None = None  # noqa: N815
    condition: str | None = None
    description: str | None = None
    vendorId: str | None = None  # noqa: N815
    imageS3Key: str | None = None  # noqa: N815
    embeddingId: str | None = None  # noqa: N815
    daysToSell: int | None = None  # noqa: N815
    embedding: list[float] | None = None

    @property
    def sold_date(self) -> date:
        """The UTC date of the sale."""
        if "T" in self.soldDate:
            return datetime.fromisoformat(self.soldDate).astimezone(UTC).date()
        return date.fromisoformat(self.soldDate)

    @property
    def sale_id(self) -> str:
        """The identity of the sale."""
        return self.saleId or f"{self.productId}-{self.sold_date}"


class PlainEvent(BaseModel):
    """An event."""

    time: datetime
    detail: PlainDetail


def row(event: PlainEvent) -> dict[str, Any]:
    """Return the table row of an event."""
    detail, sold = event.detail, event.detail.sold_date
    quarter = f"Q{(sold.month + 2) // _QUARTER_MONTHS}"
    discount = float((detail.listedPrice - detail.salePrice) / detail.listedPrice * 100) if detail.listedPrice else None
    return {
        "product_id": detail.productId,
        "tenant_id": detail.tenantId,
        "sale_id": detail.sale_id,
        "category": detail.category,
        "brand": detail.brand,
        "condition": detail.condition,
        "description": detail.description,
        "listed_price": detail.listedPrice.quantize(Decimal("0.0001")),
        "sold_price": detail.salePrice.quantize(Decimal("0.0001")),
        "discount_percent": discount,
        "sold_date": sold,
        "quarter": quarter,
        "year": sold.year,
        "month": sold.month,
        "season": quarter,
        "days_to_sell": detail.daysToSell,
        "image_s3_key": detail.imageS3Key,
        "embedding_id": detail.embeddingId,
        "embedding_dimension": len(detail.embedding) if detail.embedding else None,
        "embedding_vector": detail.embedding,
        "source_system": "carousel",
        "vendor_id": detail.vendorId,
        "ingestion_timestamp": event.time,
    }


def decode(body: str) -> PlainEvent:
    """Parse an event."""
    return PlainEvent.model_validate(json.loads(body))


def rows(events: list[PlainEvent], schema: pa.Schema) -> pa.Table:
    """Return events as an Arrow table."""
    return pa.Table.from_pylist([row(event) for event in events], schema)


@dataclass(frozen=True)
class PlainSettings:
    """The addresses and names of the stores."""

    region: str
    endpoint: str
    catalog: dict[str, str]
    identifier: tuple[str, str]
    guard_table: str
    projection_table: str


class PlainHandler:
    """Handles events, like the function's handler."""

    def __init__(self, settings: PlainSettings) -> None:
        self._settings = settings
        session: Any = boto3.Session(region_name=settings.region)
        config = Config(max_pool_connections=THREADS)
        self._dynamodb = session.client("dynamodb", endpoint_url=settings.endpoint, config=config)
        self._sqs = session.client("sqs", endpoint_url=settings.endpoint)
        self._pool = ThreadPoolExecutor(THREADS)
        self.table: Table = load_catalog("plain", **settings.catalog).load_table(settings.identifier)
        # The emulator returns its own address, which would bypass the proxy.
        properties = {**self.table.io.properties, "s3.endpoint": settings.endpoint}
        self.table.io = load_file_io(properties, self.table.location())
        self._schema = self.table.schema().as_arrow()

    def handle(self, event: dict[str, Any]) -> dict[str, Any]:
        """Process an SQS batch, or one event."""
        if "Records" not in event:
            self._land([PlainEvent.model_validate(event)])
            return {"statusCode": 200}
        self._land([decode(record["body"]) for record in event["Records"]])
        return {"batchItemFailures": []}

    def _land(self, events: list[PlainEvent]) -> None:
        claimed = [event for event, won in zip(events, self._pool.map(self._claim, events), strict=True) if won]
        stored = list(self._pool.map(self._is_projected, claimed))
        new = [event for event, known in zip(claimed, stored, strict=True) if not known]
        self.table.append(rows(new, self._schema))
        list(self._pool.map(self._project, new))
        list(self._pool.map(self._complete, claimed))

    def _guard_key(self, detail: PlainDetail) -> dict[str, Any]:
        return {"pk": {"S": f"IDEMPOTENCY#{detail.tenantId}#{detail.sale_id}"}, "sk": {"S": "VERSION"}}

    def _projection_key(self, detail: PlainDetail) -> dict[str, Any]:
        partition = f"TENANT#{detail.tenantId}#PRODUCT#{detail.productId}"
        return {"PK": {"S": partition}, "SK": {"S": f"SALE#{detail.sold_date}#{detail.sale_id}"}}

    def _claim(self, event: PlainEvent) -> bool:
        item = {
            **self._guard_key(event.detail),
            "tenantId": {"S": event.detail.tenantId},
            "eventId": {"S": event.detail.sale_id},
            "status": {"S": "IN_PROGRESS"},
            "ttl": {"N": str(int(time.time()) + 86_400)},
        }
        try:
            self._dynamodb.put_item(
                TableName=self._settings.guard_table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _is_projected(self, event: PlainEvent) -> bool:
        key = self._projection_key(event.detail)
        answer = self._dynamodb.get_item(TableName=self._settings.projection_table, Key=key, ConsistentRead=True)
        return "Item" in answer

    def _project(self, event: PlainEvent) -> None:
        detail, sold = event.detail, event.detail.sold_date.isoformat()
        item: dict[str, Any] = {
            **self._projection_key(detail),
            "GSI1PK": {"S": f"TENANT#{detail.tenantId}"},
            "GSI1SK": {"S": f"DATE#{sold}#{detail.sale_id}"},
            "GSI2PK": {"S": f"TENANT#{detail.tenantId}#EMBEDDING#{hash(detail.embeddingId) % 5}"},
            "GSI2SK": {"S": f"DATE#{sold}"},
            "productId": {"S": detail.productId},
            "tenantId": {"S": detail.tenantId},
            "saleId": {"S": detail.sale_id},
            "category": {"S": detail.category},
            "brand": {"S": detail.brand},
            "listedPrice": {"N": str(detail.listedPrice)},
            "salePrice": {"N": str(detail.salePrice)},
            "saleDate": {"S": sold},
            "source": {"S": "carousel"},
            "recordCreatedAt": {"S": event.time.isoformat()},
            "ttl": {"N": str(int(time.time()) + 2 * 365 * 86_400)},
        }
        texts = {
            "condition": detail.condition,
            "description": detail.description,
            "imageS3Key": detail.imageS3Key,
            "embeddingId": detail.embeddingId,
            "vendorId": detail.vendorId,
        }
        item.update({name: {"S": text} for name, text in texts.items() if text is not None})
        if detail.embedding is not None:
            item["embedding"] = {"S": json.dumps(detail.embedding)}
        self._dynamodb.put_item(TableName=self._settings.projection_table, Item=item)

    def _complete(self, event: PlainEvent) -> None:
        self._dynamodb.update_item(
            TableName=self._settings.guard_table,
            Key=self._guard_key(event.detail),
            UpdateExpression="SET #status = :completed, processedAt = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":completed": {"S": "COMPLETED"},
                ":now": {"S": datetime.now(UTC).isoformat()},
            },
        )
