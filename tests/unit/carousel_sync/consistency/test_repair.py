"""The parts of a repair: conditional writes, the commands it suggests, and the check of the table's history."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyiceberg.table.snapshots import Operation

from carousel_sync.aws.target import Target
from carousel_sync.consistency.compare import claim_of_item, compare, name_of, sale_of_item, sale_of_row
from carousel_sync.consistency.conditional_writes import ConditionalWrites
from carousel_sync.consistency.presentation import dedupe_commands
from carousel_sync.consistency.repair import Repairs, rows_may_be_gone
from lambda_fn.guard.items import claimed_item, guard_key, read_item
from lambda_fn.projection.item import item_of
from tests.builders import embedding, sale
from tests.scale import verify_million

SALE = sale(embedding=embedding(8), vendor_id="vendor")
CLAIM = claimed_item(SALE.key, SALE.facts, 7, 3, 1000.0, lease_seconds=60)


class ConditionFailed(Exception):
    pass


class Recorder:
    """A client that records its requests, and optionally refuses every condition."""

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionFailed)

    def __init__(self, *, refuses: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._refuses = refuses

    def __getattr__(self, name: str) -> Callable[..., None]:
        def request(**parameters: Any) -> None:
            self.requests.append((name, parameters))
            if self._refuses:
                raise ConditionFailed

        return request


WRITES: dict[str, Callable[[ConditionalWrites], bool]] = {
    "put_item": lambda writes: writes.put_item(item_of(SALE)),
    "correct_item": lambda writes: writes.correct_item(item_of(SALE), item_of(sale())),
    "delete_item": lambda writes: writes.delete_item(item_of(SALE)),
    "complete_claim": lambda writes: writes.complete_claim(read_item(CLAIM), CLAIM),
    "release_claim": lambda writes: writes.release_claim(guard_key(SALE.key), read_item(CLAIM)),
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_has_a_condition_and_returns_whether_it_held(name: str) -> None:
    for refuses in (False, True):
        client = Recorder(refuses=refuses)
        assert WRITES[name](ConditionalWrites(client, "projection", "guard", dry_run=False)) is not refuses
        ((_, parameters),) = client.requests
        assert parameters["ConditionExpression"]


@pytest.mark.parametrize("name", WRITES)
def test_a_dry_run_sends_nothing(name: str) -> None:
    client = Recorder()
    assert WRITES[name](ConditionalWrites(client, "projection", "guard", dry_run=True))
    assert client.requests == []


def test_a_correction_leaves_attributes_that_the_function_does_not_write() -> None:
    client = Recorder()
    read = item_of(SALE) | {"reviewedBy": {"S": "somebody"}}
    wanted = item_of(replace(SALE, vendor_id=None))
    ConditionalWrites(client, "projection", "guard", dry_run=False).correct_item(read, wanted)
    ((_, parameters),) = client.requests
    assert parameters["UpdateExpression"].endswith("REMOVE #vendorId")
    assert "reviewedBy" not in parameters["ExpressionAttributeNames"].values()
    assert not any(f"#{name} =" in parameters["UpdateExpression"] for name in ("PK", "SK"))
    # DynamoDB Developer Guide, "Quotas": an expression is 4 KB at most.
    assert max(len(parameters[name]) for name in ("UpdateExpression", "ConditionExpression")) < 4096


def test_releasing_a_claim_changes_its_lease_and_removes_an_expiry() -> None:
    client = Recorder()
    ConditionalWrites(client, "projection", "guard", dry_run=False).release_claim(guard_key(SALE.key), read_item(CLAIM))
    ((name, parameters),) = client.requests
    assert (name, parameters["UpdateExpression"]) == ("update_item", "SET leaseUntil = :released REMOVE #ttl")
    values = parameters["ExpressionAttributeValues"]
    assert values.pop(":released") == {"N": "0"}
    status, owner, lease, payload_hash = ({"S": "IN_PROGRESS"}, {"N": "7"}, {"N": "1060.000"}, {"S": SALE.payload_hash})
    assert list(values.values()) == [status, owner, lease, payload_hash]


def test_the_number_of_changes() -> None:
    assert Repairs(dry_run=True).changes == 0
    assert Repairs(dry_run=True, claims_released=["a"], items_written=["b", "c"], left={"d": "why"}).changes == 3


@pytest.mark.parametrize(
    ("tenant", "sale_id", "where", "command"),
    [
        ("tenant", "sale", ("dev", False), "carousel-sync dedupe --stage dev tenant sale"),
        ("tenant", "sale", ("prod", True), "carousel-sync dedupe --stage prod --local tenant sale"),
        ("o'neill", "a b", ("dev", False), "carousel-sync dedupe --stage dev 'o'\"'\"'neill' 'a b'"),
        ("-t", "sale", ("dev", False), "carousel-sync dedupe --stage dev -- -t sale"),
    ],
)
def test_the_command_that_keeps_one_row(tenant: str, sale_id: str, where: tuple[str, bool], command: str) -> None:
    row = sale_of_row(sale(tenant_id=tenant, sale_id=sale_id))
    report = compare([row, row], [], [], 0.0)
    flags = f"--stage {where[0]}" + (" --local" if where[1] else "")
    target = cast("Target", SimpleNamespace(flags=flags))
    assert dedupe_commands(report, target) == [command]


# --- history ---------------------------------------------------------------------------------------------------------


def table(*snapshots: tuple[int, int | None, str]) -> Any:
    """Return a table whose head is the last of the snapshots, each given as id, parent and operation."""
    nodes = {
        number: SimpleNamespace(parent_snapshot_id=parent, summary=SimpleNamespace(operation=Operation(operation)))
        for number, parent, operation in snapshots
    }
    head = snapshots[-1][0] if snapshots else None
    return SimpleNamespace(metadata=SimpleNamespace(current_snapshot_id=head, snapshot_by_id=nodes.get))


FIRST = (1, None, "append")


@pytest.mark.parametrize(
    ("older", "newer", "gone"),
    [
        (table(), table(), False),
        (table(), table(FIRST), False),
        (table(FIRST), table(FIRST), False),
        (table(FIRST), table(FIRST, (2, 1, "append"), (3, 2, "replace")), False),
        (table(FIRST), table(FIRST, (2, 1, "overwrite"), (3, 2, "append")), True),
        (table(FIRST), table(FIRST, (2, 1, "delete")), True),
        (table(FIRST), table((3, 2, "append")), True),
        (table(FIRST, (2, 1, "append")), table(FIRST), True),
        (table(FIRST), table((9, None, "append")), True),
    ],
    ids=["empty", "first", "same", "appends", "overwrite", "delete", "expired", "rolled back", "another history"],
)
def test_whether_rows_may_be_gone(older: Any, newer: Any, gone: bool) -> None:
    assert rows_may_be_gone(older, newer) is gone


# --- size ------------------------------------------------------------------------------------------------------------


def test_the_measurement_uses_claims_and_items_that_verify_compares() -> None:
    fifth = verify_million.sale_number(5)
    client = verify_million.GeneratedDynamoDB(6, projection_lost=False)
    (page,) = client.paginate(TableName="projection")
    assert sale_of_item(page["Items"][5]).digest == sale_of_row(fifth).digest
    (page,) = client.paginate(TableName="guard")
    assert name_of(claim_of_item(page["Items"][5]).key) == name_of(fifth.key)


def test_memory_grows_by_less_than_a_kilobyte_per_repaired_item(tmp_path: Path) -> None:
    """Verify and repair over real files; ``python -m tests.scale.verify_million`` measures it at full size.

    The first run does not count: it imports modules, which would hide the growth.
    """
    peaks = []
    for number, count in enumerate((500, 2_500, 7_500)):
        folder = tmp_path / str(number)
        namespace = verify_million.build(folder, count)
        tracemalloc.start()
        try:
            verify_million.measure(folder, namespace, count, "projection lost")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / 5_000 < 1000
