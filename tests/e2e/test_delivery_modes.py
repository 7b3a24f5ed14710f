"""The deployed template end to end, in both delivery modes: from the event bus to a row, an item or a dead letter."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from more_itertools import chunked

from carousel_sync.aws.target import Target, function_name
from carousel_sync.consistency.compare import name_of
from carousel_sync.consistency.verify import verify_target
from carousel_sync.events.arrival import keys_of
from carousel_sync.events.generate import Recipe, generate
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from lambda_fn.sale import SaleKey
from tests.builders import event
from tests.forked import run_program
from tests.stack import ONE_PROCESS, publish
from tests.waiting import eventually, holds_within

pytestmark = ONE_PROCESS

EVENTS_AT_ONCE = 60
ENTRIES_PER_REQUEST = 10
MAX_SNAPSHOTS = 20
TIMEOUT_SECONDS = 300
DRAIN_SECONDS = 300.0


@pytest.fixture(params=["stack", "direct_stack"], ids=["queue", "direct"])
def deployed(request: pytest.FixtureRequest) -> LocalStack:
    stack: LocalStack = request.getfixturevalue(request.param)
    return stack


@pytest.fixture
def target(deployed: LocalStack) -> Target:
    return deployed.target()


def today() -> str:
    """Return a date whose items do not expire during the test."""
    return datetime.now(UTC).date().isoformat()


def put(target: Target, *events: dict[str, Any]) -> None:
    entries = [
        {"Source": given["source"], "DetailType": given["detail-type"], "Detail": json.dumps(given["detail"])}
        for given in events
    ]
    answer = target.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 0


def rows_of(target: Target, tenant: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = target.load_table().scan(f"tenant_id = '{tenant}'").to_arrow().to_pylist()
    return rows


def items_of(target: Target, tenant: str) -> list[dict[str, Any]]:
    answer = target.client("dynamodb").query(
        TableName=target.settings.projection_table,
        IndexName="GSI1",
        KeyConditionExpression="GSI1PK = :tenant",
        ExpressionAttributeValues={":tenant": {"S": f"TENANT#{tenant}"}},
    )
    items: list[dict[str, Any]] = answer["Items"]
    return items


def dead_letter(target: Target, marker: str) -> dict[str, Any] | None:
    """Return the dead letter whose body contains the marker. It stays in the queue."""
    answer = target.client("sqs").receive_message(
        QueueUrl=target.settings.dead_letter_queue_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        MessageAttributeNames=["All"],
    )
    return next((letter for letter in answer.get("Messages", []) if marker in letter["Body"]), None)


def test_a_sale_becomes_one_row_and_one_item(target: Target) -> None:
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    put(target, event(tenantId=tenant, soldDate=today()))
    eventually(lambda: items_of(target, tenant))
    put(target, event(tenantId=tenant, soldDate=today()))
    put(target, event(tenantId=tenant, soldDate=today(), saleId="another"))
    eventually(lambda: len(items_of(target, tenant)) > 1)
    assert sorted(row["sale_id"] for row in rows_of(target, tenant)) == ["another", "sale-1"]
    assert sorted(item["saleId"]["S"] for item in items_of(target, tenant)) == ["another", "sale-1"]


def test_an_invalid_event_is_kept_with_its_reason(target: Target) -> None:
    marker = uuid.uuid4().hex
    put(target, event(productId=marker, listedPrice=-1))
    eventually(lambda: dead_letter(target, marker))
    letter = dead_letter(target, marker)
    assert letter is not None
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["reason"] == "INVALID_FIELD"
    assert attributes["detail"].startswith("detail.listedPrice")
    assert attributes["firstSeen"]
    assert attributes["requestId"]
    assert json.loads(letter["Body"])["detail"]["productId"] == marker


def test_simulate_waits_until_its_sales_are_stored(deployed: LocalStack, target: Target) -> None:
    seed, until = uuid.uuid4().int % 2**31, datetime.now(UTC).date()
    simulation = ("simulate", "--count", "6", "--embedding", "8", "--seed", str(seed), "--until", until.isoformat())
    environment = {**os.environ, STATE_DIR_VARIABLE: str(deployed.directory)}
    options = ("--wait", "--timeout", str(int(DRAIN_SECONDS)), "--local", "--json")
    done = run_program((*simulation, *options), environment)
    assert done.returncode == 0, done.stderr
    waited = json.loads(done.stdout)["wait"]
    recipe = Recipe(6, seed=seed, until=until, embedding=8)
    assert (waited["stored"], waited["sales"], waited["complete"]) == (recipe.sales, recipe.sales, True)
    sent = keys_of(generate(recipe))
    rows = target.load_table().scan(selected_fields=("tenant_id", "sale_id")).to_arrow().to_pylist()
    assert {SaleKey(**row) for row in rows} >= set(sent)
    assert not set(verify_target(target, only=[name_of(key) for key in sent]).missing_items)


@pytest.mark.engine
def test_sixty_events_at_once_share_commits(direct_stack: LocalStack) -> None:
    """The emulator starts a process for each event. On a busy machine, the last one starts after minutes."""
    target, tenant = direct_stack.target(), f"tenant-{uuid.uuid4().hex[:12]}"
    target.client("lambda").update_function_configuration(
        FunctionName=function_name(target.stage), Timeout=TIMEOUT_SECONDS
    )
    publish(target)
    before = {snapshot.snapshot_id for snapshot in target.load_table().metadata.snapshots}
    events = [event(tenantId=tenant, soldDate=today(), saleId=f"sale-{number}") for number in range(EVENTS_AT_ONCE)]
    for given in chunked(events, ENTRIES_PER_REQUEST):
        put(target, *given)
    assert holds_within(lambda: len(items_of(target, tenant)) == EVENTS_AT_ONCE, DRAIN_SECONDS)
    report = verify_target(target)
    assert report.consistent
    assert Counter(row["sale_id"] for row in rows_of(target, tenant)) == {f"sale-{n}": 1 for n in range(EVENTS_AT_ONCE)}
    snapshots = {snapshot.snapshot_id for snapshot in target.load_table().metadata.snapshots} - before
    print(f"{EVENTS_AT_ONCE} events, {len(snapshots)} snapshots")  # noqa: T201
    assert len(snapshots) < MAX_SNAPSHOTS
