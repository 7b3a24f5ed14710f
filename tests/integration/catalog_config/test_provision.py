"""Provisioning the Iceberg table: repeatable, safe for two at once, and strict about an existing table."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import compute_statistics_plan
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType

from carousel_sync.local_stack.stack import LocalStack
from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from catalog_config.provision import ProvisionError, ensure_table
from catalog_config.table_properties import PROPERTIES
from schemas.evolution.migration import current_schema
from schemas.sales_history import PARTITION_SPEC

NAMESPACE = "fresh_namespace"


def local_config(folder: Path) -> CatalogConfig:
    return CatalogConfig(
        kind=CatalogKind.LOCAL,
        region="eu-west-1",
        warehouse=f"file://{folder / 'warehouse'}",
        uri=f"sqlite:///{folder / 'catalog.db'}",
    )


@pytest.fixture(params=["sqlite", "s3_tables"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> CatalogConfig:
    if request.param == "sqlite":
        return local_config(tmp_path)
    stack: LocalStack = request.getfixturevalue("stack")
    return stack.target().catalog_config


@pytest.fixture
def catalog(config: CatalogConfig) -> Catalog:
    return connect(config)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    # New names: on the emulator, a table that is created again under its old name shows the old rows.
    return "t" + "".join(letter if letter.isalnum() else "_" for letter in request.node.name.lower())


def test_the_table_is_created_once(catalog: Catalog, name: str) -> None:
    first = ensure_table(catalog, NAMESPACE, name)
    assert first.table_created
    assert first.changed
    second = ensure_table(catalog, NAMESPACE, name)
    assert not second.changed

    table = catalog.load_table((NAMESPACE, name))
    assert table.metadata.format_version == 2
    assert {field.field_id: field.name for field in table.schema().fields} == {
        field.field_id: field.name for field in current_schema().fields
    }
    assert table.schema().find_field("embedding_vector.element").field_id == 24
    assert table.spec().fields == PARTITION_SPEC.fields
    assert {key: table.properties.get(key) for key in PROPERTIES} == PROPERTIES
    assert not [key for key in table.properties if key.startswith("history.expire")]


def test_every_column_except_the_vector_has_statistics(catalog: Catalog, name: str) -> None:
    ensure_table(catalog, NAMESPACE, name)
    table = catalog.load_table((NAMESPACE, name))
    modes = {
        column.column_name: column.mode.type.value
        for column in compute_statistics_plan(table.schema(), table.properties).values()
    }
    assert modes.pop("embedding_vector.element") == "none"
    assert modes["sale_id"] == modes["tenant_id"] == modes["product_id"] == "full"
    assert modes["description"] == "truncate"
    assert "none" not in modes.values()
    assert "counts" not in modes.values()


def test_two_people_can_provision_at_once(stack: LocalStack, name: str) -> None:
    config = stack.target().catalog_config

    def apply(_: int) -> bool:
        return ensure_table(connect(config), NAMESPACE, name).table_created

    with ThreadPoolExecutor(4) as people:
        created = list(people.map(apply, range(4)))
    assert created.count(True) == 1
    table = connect(config).load_table((NAMESPACE, name))
    assert {key: table.properties.get(key) for key in PROPERTIES} == PROPERTIES


def test_changed_properties_are_restored(catalog: Catalog, name: str) -> None:
    ensure_table(catalog, NAMESPACE, name)
    table = catalog.load_table((NAMESPACE, name))
    with table.transaction() as transaction:
        transaction.set_properties({"write.parquet.compression-codec": "snappy"})
    assert ensure_table(catalog, NAMESPACE, name).properties_set == {"write.parquet.compression-codec": "zstd"}


def test_a_table_that_is_ahead_of_this_code_is_left_unchanged(catalog: Catalog, name: str) -> None:
    ensure_table(catalog, NAMESPACE, name)
    table = catalog.load_table((NAMESPACE, name))
    later = {"write.parquet.compression-codec": "snappy", "carousel.schema-version": "99"}
    with table.transaction() as transaction:
        transaction.set_properties(later)
    result = ensure_table(catalog, NAMESPACE, name)
    assert not result.changed
    assert result.version == 99
    assert catalog.load_table((NAMESPACE, name)).properties.items() >= later.items()


def test_a_table_that_something_else_created_is_refused_and_left_unchanged(catalog: Catalog, name: str) -> None:
    ensure_table(catalog, NAMESPACE, f"{name}_first")  # creates the namespace
    catalog.create_table((NAMESPACE, name), Schema(NestedField(1, "tenant_id", StringType(), required=True)))
    with pytest.raises(ProvisionError, match=r"field id 1 is .*tenant_id.* instead of .*product_id"):
        ensure_table(catalog, NAMESPACE, name)
    table = catalog.load_table((NAMESPACE, name))
    assert len(table.schema().fields) == 1
    assert "carousel.schema-version" not in table.properties


def test_an_unknown_optional_column_is_accepted(tmp_path: Path) -> None:
    catalog = connect(local_config(tmp_path))
    ensure_table(catalog, NAMESPACE, "later")
    with catalog.load_table((NAMESPACE, "later")).update_schema() as update:
        update.add_column("somebody_elses", StringType())
    assert not ensure_table(catalog, NAMESPACE, "later").changed
