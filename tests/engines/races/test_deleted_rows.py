"""The writer looks sales up in a table in which Spark has deleted and updated rows, without rewriting their files."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

import pytest

from lambda_fn.guard.items import guard_key
from lambda_fn.ports import NO_SNAPSHOT, Claimed, Landed, Resolution
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import SaleKey
from lambda_fn.wiring import build
from schemas.evolution.table_operations import SetProperty
from testbed.stores import client
from tests.builders import body, sale
from tests.engines.fixtures import IcebergRestServer
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.spark_engine import Spark
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.infrastructure.conftest import batch
from tests.tables import TableUnderTest, provisioned, rest_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]

SALES: Final = ("deleted", "updated", "untouched")
LONG_AGO: Final = date(2019, 5, 17)
"""The projection does not know a sale of that day, so that every delivery looks for its row."""


def delete_and_update(spark: Spark, table: TableUnderTest) -> None:
    """Delete one row and update another one by position delete files, and expire every snapshot but the head."""
    table.alter(*(SetProperty(f"write.{action}.mode", "merge-on-read") for action in ("delete", "update")))
    name = spark.name_of(table)
    spark.sql(f"DELETE FROM {name} WHERE sale_id = 'deleted'")  # noqa: S608
    spark.sql(f"UPDATE {name} SET description = 'corrected' WHERE sale_id = 'updated'")  # noqa: S608
    catalog, relative = name.split(".", 1)
    spark.sql(
        f"CALL {catalog}.system.expire_snapshots(table => '{relative}', "
        "older_than => TIMESTAMP '2999-01-01 00:00:00Z', retain_last => 1)"
    )
    ((deletes,),) = spark.sql(f"SELECT count(*) FROM {name}.delete_files")  # noqa: S608
    assert deletes > 0
    assert len(table.load().metadata.snapshots) == 1


def forget(stores: StoresUnderTest) -> None:
    """Delete the guard items, as DynamoDB does a day after the sales were completed."""
    dynamodb = client("dynamodb", stores.endpoint)
    for sale_id in SALES:
        partition, sort = guard_key(SaleKey("t", sale_id))
        key = {"pk": {"S": partition}, "sk": {"S": sort}}
        old = dynamodb.delete_item(TableName=stores.stores.guard_table, Key=key, ReturnValues="ALL_OLD")
        assert old["Attributes"]["status"] == {"S": "COMPLETED"}


def test_a_deleted_row_is_not_found_after_the_history_has_expired(spark: Spark, rest_table: TableUnderTest) -> None:
    deadline = Deadline.after(SystemClock(), 120)
    sales = [sale(sale_id=sale_id) for sale_id in SALES]
    assert rest_table.writer().begin(1, deadline).append(sales, (), deadline) == Landed(1)
    delete_and_update(spark, rest_table)
    claims = [Claimed(each, base=NO_SNAPSHOT, earlier_attempts=(1,)) for each in sales]
    resolution = rest_table.writer().begin(2, deadline).resolve(claims, [], deadline)
    assert resolution == Resolution({each.key: None for each in sales if each.sale_id != "deleted"})


def test_a_deleted_sale_lands_again_and_the_others_are_duplicates(
    spark: Spark, emulator_endpoint: str, iceberg_rest_on_emulator: IcebergRestServer
) -> None:
    created = StoresUnderTest.create(emulator_endpoint)
    catalog = rest_config(iceberg_rest_on_emulator)
    table = provisioned(catalog)
    stores = replace(created, stores=replace(created.stores, catalog=catalog, namespace=table.namespace))
    settings = stores.settings(emulator_endpoint, request_seconds=5.0)
    delivery = batch(*(body(tenantId="t", saleId=sale_id, soldDate=LONG_AGO.isoformat()) for sale_id in SALES))
    assert build(settings).handle(delivery, None) == {"batchItemFailures": []}
    delete_and_update(spark, table)
    assert stores.rows("t") == {"updated": 1, "untouched": 1}
    forget(stores)
    assert build(settings).handle(delivery, None) == {"batchItemFailures": []}
    assert stores.rows("t") == dict.fromkeys(SALES, 1)
    corrected = table.load().scan("sale_id = 'updated'", selected_fields=("description",)).to_arrow()
    assert corrected["description"].to_pylist() == ["corrected"]
