"""Every type of damage, repaired on the embedded stack, also while a writer runs; afterwards ``verify`` finds none."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from carousel_sync import cli
from carousel_sync.aws.target import Target
from carousel_sync.consistency.conditional_writes import ConditionalWrites
from carousel_sync.consistency.dedupe import keep_one_row, rows_of
from carousel_sync.consistency.repair import LEASE_RUNNING, Repair
from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from lambda_fn.errors import StoreUnavailable
from lambda_fn.ports import Landed, NotKnownToHaveLanded
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from tests.builders import event
from tests.integration.carousel_sync.consistency.damage import DAMAGES, Stores, change_fact, delete_item
from tests.tables import TableUnderTest


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_each_type_of_damage_is_repaired(stores: Stores, damage: Callable[[Stores, Sale], None]) -> None:
    sale, untouched = stores.land(2)
    before = stores.everything()
    damage(stores, sale)
    damaged = stores.everything()
    assert damaged != before

    planned = stores.repair(dry_run=True)
    assert stores.everything() == damaged
    done = stores.repair()
    assert {name for name, value in vars(done).items() if value} == DAMAGES[damage]
    assert {**vars(planned), "dry_run": False} == vars(done)

    assert verify_target(stores.target).consistent
    item = stores.client.get_item(**stores.item_of(sale))["Item"]
    expected = stores.client.get_item(**stores.item_of(untouched))["Item"]
    own = {"PK", "SK", "GSI1SK", "saleId"}
    left_alone = {"reviewedBy"} if damage is change_fact else set()
    assert item.keys() - left_alone == expected.keys()
    assert {name: item[name] for name in expected.keys() - own} == {
        name: expected[name] for name in expected.keys() - own
    }
    assert stores.repair().changes == 0


def test_a_released_claim_keeps_its_attempts_and_the_next_delivery_lands_the_sale_once(stores: Stores) -> None:
    (landed,) = stores.land()
    lost = replace(landed, sale_id="lost")
    stores.open_claim(lost, attempt=77)
    assert stores.repair().claims_released == [f"{lost.tenant_id}/lost"]
    claim = stores.read_claim(lost)
    assert (claim["leaseUntil"], claim["attempts"]) == ({"N": "0"}, {"L": [{"N": "77"}]})
    assert f"{lost.tenant_id}/lost" in verify_target(stores.target).released_claims
    given = event(tenantId=lost.tenant_id, saleId="lost", embedding=[0.5, 1.25])
    assert stores.deliver(stores.application(), [given]) == []
    assert stores.read_claim(lost)["status"] == {"S": "COMPLETED"}
    head = stores.target.load_table().current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.additional_properties["carousel.fenced-attempts"] == "77"
    report = verify_target(stores.target)
    assert report.consistent
    assert f"{lost.tenant_id}/lost" not in report.released_claims


def delete_open_claims(stores: Stores) -> None:
    """The control: what people commonly do about claims that nobody completes."""
    for claim in stores.client.scan(TableName=stores.settings.guard_table, ConsistentRead=True)["Items"]:
        if claim.get("status") == {"S": "IN_PROGRESS"}:
            stores.client.delete_item(
                TableName=stores.settings.guard_table, Key={name: claim[name] for name in ("pk", "sk")}
            )


@pytest.mark.parametrize(("repair_claims", "rows"), [(Stores.repair, 1), (delete_open_claims, 2)])
def test_an_attempt_wakes_up_after_its_claim_was_repaired(
    stores: Stores, repair_claims: Callable[[Stores], object], rows: int
) -> None:
    """After a repair it finds itself fenced. If its claim was deleted instead, it doubles the row."""
    (landed,) = stores.land()
    sale = replace(landed, sale_id="stalled")
    deadline = Deadline.after(SystemClock(), 60)
    stalled = TableUnderTest(stores.settings.catalog, stores.settings.namespace).writer().begin(77, deadline)
    stores.open_claim(sale, attempt=77)
    repair_claims(stores)
    given = event(tenantId=sale.tenant_id, saleId="stalled", embedding=[0.5, 1.25])
    assert stores.deliver(stores.application(), [given]) == []
    woken = stalled.append([sale], (), deadline)
    assert isinstance(woken, NotKnownToHaveLanded if rows == 1 else Landed)
    assert rows_of(stores.target.load_table(), sale.key).count == rows
    assert len(verify_target(stores.target).doubled_rows) == rows - 1
    keep_one_row(stores.target, sale.key)


def test_a_sale_that_lands_after_its_claim_was_released_is_completed(stores: Stores) -> None:
    (landed,) = stores.land()
    late = replace(landed, sale_id="late")
    stores.open_claim(late)
    stores.repair()
    stores.append_row(late)
    assert verify_target(stores.target).open_claims == [f"{late.tenant_id}/late"]
    done = stores.repair()
    assert done.items_written == done.claims_completed == [f"{late.tenant_id}/late"]


def test_the_commit_queue_beside_the_claims_is_left_alone(stores: Stores) -> None:
    (landed,) = stores.land()
    before = verify_target(stores.target)
    stores.fill_commit_queue()
    queued = stores.everything()
    assert verify_target(stores.target) == before
    assert stores.repair().changes == 0
    assert stores.everything() == queued
    assert stores.deliver(stores.application(), [event(tenantId=landed.tenant_id, saleId="next")]) == []


def test_a_claim_with_a_running_lease_is_left_alone(stores: Stores) -> None:
    landed, other = stores.land(2)
    stores.open_claim(landed, lease_seconds=60)
    stores.open_claim(replace(other, sale_id="new"), lease_seconds=60)
    before = stores.everything()
    done = stores.repair()
    assert set(done.left.values()) == {LEASE_RUNNING}
    assert len(done.left) == 2
    assert stores.everything() == before
    stores.open_claim(landed)
    stores.open_claim(replace(other, sale_id="new"))
    assert stores.repair().changes == 2


def test_missing_rows_are_left_alone(stores: Stores) -> None:
    gone, claimed = stores.land(2)
    stores.delete_row(gone)
    stores.delete_row(claimed)
    stores.open_claim(claimed)
    before = stores.everything()
    report = verify_target(stores.target)
    assert report.missing_rows == sorted(f"{sale.tenant_id}/{sale.sale_id}" for sale in (gone, claimed))
    assert stores.repair().changes == 0
    assert stores.everything() == before
    for sale in (gone, claimed):
        stores.append_row(sale)
    assert stores.repair().claims_completed == [f"{claimed.tenant_id}/{claimed.sale_id}"]


def test_doubled_rows_are_reported_with_the_command_that_keeps_one(
    stores: Stores, own_stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sale,) = stores.land()
    stores.append_row(sale)
    delete_item(stores, sale)
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(own_stack.directory))
    runner = CliRunner()
    done = runner.invoke(cli.app, ["verify", "--repair", "--yes", "--local", "--json"])
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["repair"]["commands"] == [
        f"carousel-sync dedupe --stage dev --local {sale.tenant_id} {sale.sale_id}"
    ]
    assert list(document["repair"]["left"]) == document["after"]["doubled_rows"]
    arguments = document["repair"]["commands"][0].split()[1:]
    shown = runner.invoke(cli.app, [*arguments, "--json"])
    assert (shown.exit_code, len(json.loads(shown.stdout)["rows"])) == (1, 2)
    assert runner.invoke(cli.app, [*arguments, "--yes"]).exit_code == 0
    assert runner.invoke(cli.app, arguments).exit_code == 0
    after = runner.invoke(cli.app, ["verify", "--repair", "--yes", "--local", "--json"])
    assert after.exit_code == 0
    assert json.loads(after.stdout)["after"]["consistent"]


# --- concurrent changes -----------------------------------------------------------------------------------------------


class Interposed:
    """A client that runs an action before its first request of one name."""

    def __init__(self, client: Any, name: str, action: Callable[[], object]) -> None:
        self._client = client
        self._name = name
        self._action: Callable[[], object] | None = action

    def __getattr__(self, name: str) -> Any:
        if name == self._name and self._action is not None:
            action, self._action = self._action, None
            action()
        return getattr(self._client, name)


def with_interposed(stack: LocalStack, name: str, action: Callable[[], object]) -> Target:
    target = stack.target()
    target._clients["dynamodb"] = Interposed(target.client("dynamodb"), name, action)
    return target


def test_a_writer_that_completes_its_claim_first_wins(stores: Stores, own_stack: LocalStack) -> None:
    (sale,) = stores.land()
    completed = stores.read_claim(sale)
    stores.open_claim(sale)
    report = verify_target(stores.target)

    def complete() -> None:
        stores.client.put_item(TableName=stores.settings.guard_table, Item=completed)

    target = with_interposed(own_stack, "put_item", complete)
    done = Repair(target, report, dry_run=False).run()
    assert done.changes == 0
    assert "changed while it was being repaired" in done.left[f"{sale.tenant_id}/{sale.sale_id}"]
    assert stores.read_claim(sale) == completed


def test_a_claim_that_is_taken_over_before_its_release_is_left_alone(stores: Stores, own_stack: LocalStack) -> None:
    (landed,) = stores.land()
    lost = replace(landed, sale_id="lost")
    stores.open_claim(lost, attempt=1)
    report = verify_target(stores.target)
    target = with_interposed(own_stack, "update_item", lambda: stores.open_claim(lost, attempt=2, lease_seconds=60))
    assert Repair(target, report, dry_run=False).run().claims_released == []
    assert stores.read_claim(lost)["owner"] == {"N": "2"}
    stores.open_claim(lost, attempt=2)
    assert stores.repair().changes == 1


class Unconditional(ConditionalWrites):
    """The control: the same changes without a condition."""

    def _try(self, request: Callable[..., Any], **parameters: Any) -> bool:
        condition = parameters.pop("ConditionExpression")
        update = parameters.get("UpdateExpression", "")
        for given in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            used = {name: value for name, value in parameters.pop(given, {}).items() if name in update}
            parameters |= {given: used} if used else {}
        assert condition
        request(**parameters)
        return True


@pytest.mark.parametrize("damage", [delete_item, change_fact])
def test_the_tests_notice_changes_without_a_condition(
    stores: Stores, own_stack: LocalStack, damage: Callable[[Stores, Sale], None]
) -> None:
    (sale,) = stores.land()
    other = stores.client.get_item(**stores.item_of(sale))["Item"] | {"salePrice": {"N": "2"}}
    damage(stores, sale)
    report = verify_target(stores.target)

    def write() -> None:
        stores.client.put_item(TableName=stores.settings.projection_table, Item=other)

    target = with_interposed(own_stack, "put_item" if damage is delete_item else "update_item", write)
    repair = Repair(target, report, dry_run=False)
    settings = target.settings
    client = target.client("dynamodb")
    repair._writes = Unconditional(client, settings.projection_table, settings.guard_table, dry_run=False)
    assert repair.run().changes == 1
    assert stores.client.get_item(**stores.item_of(sale))["Item"] != other, "the concurrent write is lost"


@pytest.mark.parametrize("damage", [delete_item, change_fact])
def test_an_item_that_changes_before_it_is_written_is_left_alone(
    stores: Stores, own_stack: LocalStack, damage: Callable[[Stores, Sale], None]
) -> None:
    (sale,) = stores.land()
    right = stores.client.get_item(**stores.item_of(sale))["Item"]
    damage(stores, sale)
    report = verify_target(stores.target)
    other = right | {"salePrice": {"N": "2"}}

    def write() -> None:
        stores.client.put_item(TableName=stores.settings.projection_table, Item=other)

    target = with_interposed(own_stack, "put_item" if damage is delete_item else "update_item", write)
    assert Repair(target, report, dry_run=False).run().changes == 0
    assert stores.client.get_item(**stores.item_of(sale))["Item"] == other
    assert stores.repair().items_corrected == [f"{sale.tenant_id}/{sale.sale_id}"]


def test_an_item_is_not_written_from_a_row_that_is_gone(
    stores: Stores, own_stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sale, of_the_control) = stores.land(2)
    delete_item(stores, sale)
    report = verify_target(stores.target)
    target = with_interposed(own_stack, "batch_get_item", lambda: stores.delete_row(sale))
    with pytest.raises(StoreUnavailable, match="removed or rewrote rows"):
        Repair(target, report, dry_run=False).run()
    assert "Item" not in stores.client.get_item(**stores.item_of(sale))
    stores.append_row(sale)
    assert stores.repair().changes == 1

    # The control: without the check of the history the item is written, and an event that is sent again counts as a
    # duplicate of a row that does not exist.
    sale = of_the_control
    delete_item(stores, sale)
    report = verify_target(stores.target)
    target = with_interposed(own_stack, "batch_get_item", lambda: stores.delete_row(sale))
    monkeypatch.setattr("carousel_sync.consistency.repair.rows_may_be_gone", lambda *_: False)
    Repair(target, report, dry_run=False).run()
    assert verify_target(stores.target).missing_rows == [f"{sale.tenant_id}/{sale.sale_id}"]
    stores.append_row(sale)


def test_every_type_of_damage_is_repaired_while_writers_run(stores: Stores) -> None:
    damaged = stores.land(60)
    for number, sale in enumerate(damaged):
        list(DAMAGES)[number % len(DAMAGES)](stores, sale)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    batches = [[event(tenantId=tenant, saleId=f"{batch}-{n}") for n in range(10)] for batch in range(12)]
    finished = threading.Event()

    def write(own: list[list[dict[str, Any]]]) -> None:
        application = stores.application()
        for events in own:
            left = events
            while left:
                left = stores.deliver(application, left)

    def repair_until_finished() -> int:
        rounds = 0
        while not finished.is_set() or not rounds:
            stores.repair()
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        repairing = pool.submit(repair_until_finished)
        # Both writers deliver every batch, in opposite orders.
        writing = [pool.submit(write, own) for own in (batches, batches[::-1])]
        try:
            for writer in writing:
                writer.result()
        finally:
            finished.set()
        assert repairing.result() >= 1
    stores.repair()
    report = verify_target(stores.target)
    assert report.consistent, report.as_json()
    table = stores.target.load_table().scan(f"tenant_id = '{tenant}'", selected_fields=("sale_id",)).to_arrow()
    assert sorted(table["sale_id"].to_pylist()) == sorted(
        given["detail"]["saleId"] for batch in batches for given in batch
    )
