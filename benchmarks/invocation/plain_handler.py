"""The anchor: the same steps as one would write them with boto3, pydantic and pyiceberg, item by item.

It claims, looks up, appends, projects and completes as the function does, but without the rules that make the function
exactly-once. It uses sixteen threads, because a single one would wait most of the time. This module imports nothing of
the project, so that its cold start can be measured too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pyiceberg.catalog import load_catalog
from pyiceberg.io import load_file_io

THREADS: Final = 16
_QUARTER_MONTHS: Final = 3
_FOUR_PLACES: Final = Decimal("0.0001")
# The texts that the items for look-ups name as the event does.
_ITEM_TEXTS: Final = {
    *("tenant_id", "product_id", "category", "brand", "condition", "description", "vendor_id", "image_s3_key"),
    "embedding_id",
}


class PlainDetail(BaseModel):
    """The detail of an event, whose fields have the names of the table's columns."""

    model_config = ConfigDict(alias_generator=to_camel)

    tenant_id: str
    product_id: str
    category: str
    brand: str
    listed_price: Decimal
    sold_price: Decimal = Field(alias="salePrice")
    sold_date_text: str = Field(alias="soldDate")
    explicit_sale_id: str | None = Field(None, alias="saleId")
    condition: str | None = None
    description: str | None = None
    vendor_id: str | None = None
    image_s3_key: str | None = None
    embedding_id: str | None = None
    days_to_sell: int | None = None
    embedding_vector: list[float] | None = Field(None, alias="embedding")

    @property
    def sold_date(self) -> date:
        """The UTC date of the sale."""
        if "T" in self.sold_date_text:
            return datetime.fromisoformat(self.sold_date_text).astimezone(UTC).date()
        return date.fromisoformat(self.sold_date_text)

    @property
    def sale_id(self) -> str:
        """The identity of the sale."""
        return self.explicit_sale_id or f"{self.product_id}-{self.sold_date}"


class PlainEvent(BaseModel):
    """An event."""

    time: datetime
    detail: PlainDetail


def row(event: PlainEvent) -> dict[str, Any]:
    """Return the table row of an event."""
    detail, sold = event.detail, event.detail.sold_date
    quarter = f"Q{(sold.month + 2) // _QUARTER_MONTHS}"
    listed, price = detail.listed_price, detail.sold_price
    return {
        **dict(detail),
        "sale_id": detail.sale_id,
        "listed_price": listed.quantize(_FOUR_PLACES),
        "sold_price": price.quantize(_FOUR_PLACES),
        "discount_percent": float((listed - price) / listed * 100) if listed else None,
        "sold_date": sold,
        "quarter": quarter,
        "year": sold.year,
        "month": sold.month,
        "season": quarter,
        "embedding_dimension": len(detail.embedding_vector) if detail.embedding_vector else None,
        "source_system": "carousel",
        "ingestion_timestamp": event.time,
    }


def decode(body: str) -> PlainEvent:
    """Parse an event."""
    return PlainEvent.model_validate(json.loads(body))


def rows(events: list[PlainEvent], schema: pa.Schema) -> pa.Table:
    """Return events as an Arrow table."""
    return pa.Table.from_pylist([row(event) for event in events], schema)


class PlainHandler:
    """Handles events, like the function's handler, with the stores that the function's environment names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        endpoint, region = environment["AWS_ENDPOINT_URL"], environment["AWS_REGION"]
        self._guard_table, self._projection_table = environment["GUARD_TABLE"], environment["PROJECTION_TABLE"]
        session: Any = boto3.Session(region_name=region)
        config = Config(max_pool_connections=THREADS)
        self._dynamodb = session.client("dynamodb", endpoint_url=endpoint, config=config)
        self._sqs = session.client("sqs", endpoint_url=endpoint)
        self._pool = ThreadPoolExecutor(THREADS)
        catalog = {
            "type": "rest",
            "uri": f"{endpoint}/iceberg",
            "warehouse": environment["TABLE_BUCKET_ARN"],
            "rest.sigv4-enabled": "true",
            "rest.signing-name": "s3tables",
            "rest.signing-region": region,
        }
        identifier = (environment["ICEBERG_NAMESPACE"], environment["ICEBERG_TABLE"])
        self._table = load_catalog("plain", **catalog).load_table(identifier)
        # The emulator returns its own address, which would bypass the proxy.
        self._table.io = load_file_io({**self._table.io.properties, "s3.endpoint": endpoint}, self._table.location())
        self._schema = self._table.schema().as_arrow()

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
        self._table.append(rows(new, self._schema))
        list(self._pool.map(self._project, new))
        list(self._pool.map(self._complete, claimed))

    def _guard_key(self, detail: PlainDetail) -> dict[str, Any]:
        return {"pk": {"S": f"IDEMPOTENCY#{detail.tenant_id}#{detail.sale_id}"}, "sk": {"S": "VERSION"}}

    def _projection_key(self, detail: PlainDetail) -> dict[str, Any]:
        partition = f"TENANT#{detail.tenant_id}#PRODUCT#{detail.product_id}"
        return {"PK": {"S": partition}, "SK": {"S": f"SALE#{detail.sold_date}#{detail.sale_id}"}}

    def _claim(self, event: PlainEvent) -> bool:
        item = {
            **self._guard_key(event.detail),
            "tenantId": {"S": event.detail.tenant_id},
            "eventId": {"S": event.detail.sale_id},
            "status": {"S": "IN_PROGRESS"},
            "ttl": {"N": str(int(time.time()) + 86_400)},
        }
        new = "attribute_not_exists(pk)"
        try:
            self._dynamodb.put_item(TableName=self._guard_table, Item=item, ConditionExpression=new)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _is_projected(self, event: PlainEvent) -> bool:
        key = self._projection_key(event.detail)
        return "Item" in self._dynamodb.get_item(TableName=self._projection_table, Key=key, ConsistentRead=True)

    def _project(self, event: PlainEvent) -> None:
        detail, sold = event.detail, event.detail.sold_date.isoformat()
        texts = detail.model_dump(include=_ITEM_TEXTS, by_alias=True, exclude_none=True) | {
            "GSI1PK": f"TENANT#{detail.tenant_id}",
            "GSI1SK": f"DATE#{sold}#{detail.sale_id}",
            "GSI2PK": f"TENANT#{detail.tenant_id}#EMBEDDING#{hash(detail.embedding_id) % 5}",
            "GSI2SK": f"DATE#{sold}",
            "saleId": detail.sale_id,
            "saleDate": sold,
            "source": "carousel",
            "recordCreatedAt": event.time.isoformat(),
        }
        if detail.embedding_vector is not None:
            texts["embedding"] = json.dumps(detail.embedding_vector)
        item = {
            **self._projection_key(detail),
            **{name: {"S": text} for name, text in texts.items()},
            "listedPrice": {"N": str(detail.listed_price)},
            "salePrice": {"N": str(detail.sold_price)},
            "ttl": {"N": str(int(time.time()) + 2 * 365 * 86_400)},
        }
        self._dynamodb.put_item(TableName=self._projection_table, Item=item)

    def _complete(self, event: PlainEvent) -> None:
        self._dynamodb.update_item(
            TableName=self._guard_table,
            Key=self._guard_key(event.detail),
            UpdateExpression="SET #status = :completed, processedAt = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":completed": {"S": "COMPLETED"}, ":now": {"S": datetime.now(UTC).isoformat()}},
        )
