"""``send`` and ``simulate`` refuse to reach other stages: rules on a bus of their own, on the emulator."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from carousel_sync.aws.event_bus import BusEvent
from carousel_sync.aws.listeners import other_listeners
from carousel_sync.aws.target import Target
from carousel_sync.cli import app
from carousel_sync.events import commands
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import EXAMPLE_EVENT
from lambda_fn.event import EVENT_SOURCE
from lambda_fn.sale import EVENT_TYPE

SALE = BusEvent(EVENT_SOURCE, EVENT_TYPE, "{}")
SALES = {"source": [EVENT_SOURCE], "detail-type": [EVENT_TYPE]}
Put = Callable[..., None]


@pytest.fixture
def target(stack: LocalStack) -> Target:
    return stack.target()


@pytest.fixture
def bus(target: Target) -> Iterator[str]:
    name = f"bus-{uuid.uuid4().hex[:12]}"
    client = target.client("events")
    client.create_event_bus(Name=name)
    yield name
    for rule in client.list_rules(EventBusName=name)["Rules"]:
        client.delete_rule(Name=rule["Name"], EventBusName=name)
    client.delete_event_bus(Name=name)


@pytest.fixture
def put(target: Target, bus: str) -> Put:
    def put_rule(name: str, pattern: object, state: str = "ENABLED") -> None:
        target.client("events").put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), State=state)

    return put_rule


def run(bus: str, monkeypatch: pytest.MonkeyPatch, target: Target, *arguments: str) -> Result:
    monkeypatch.setattr(commands, "resolve", lambda *_: target)
    return CliRunner().invoke(app, [*arguments, "--bus", bus])


def test_rules_that_may_receive_a_sale_are_named(target: Target, bus: str, put: Put) -> None:
    put("carousel-sync-dev", SALES)
    assert other_listeners(target, bus, SALE) == []
    put("carousel-sync-two", SALES)
    put("one-tenant", {**SALES, "detail": {"tenantId": ["another"]}})
    put("every-detail", {"detail": {"tenantId": [{"exists": True}]}})
    put("all-of-the-source", {"source": [{"prefix": "carousel."}]})
    put("listings", {"source": [EVENT_SOURCE], "detail-type": ["carousel.product.listed"]})
    put("disabled", SALES, "DISABLED")
    named = other_listeners(target, bus, SALE)
    assert sorted(named) == ["all-of-the-source", "carousel-sync-two", "every-detail", "one-tenant"]


@pytest.mark.parametrize("arguments", [("simulate", "--count", "1"), ("send", str(EXAMPLE_EVENT))])
def test_events_that_another_stage_would_receive_need_force(
    target: Target, bus: str, put: Put, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    put("carousel-sync-dev", SALES)
    assert run(bus, monkeypatch, target, *arguments).exit_code == 0
    put("carousel-sync-two", SALES)
    refused = run(bus, monkeypatch, target, *arguments)
    assert refused.exit_code == 1
    assert "carousel-sync-two" in refused.stderr
    assert "Nothing was sent" in refused.stderr
    assert run(bus, monkeypatch, target, *arguments, "--force").exit_code == 0


@pytest.mark.parametrize("arguments", [("simulate", "--count", "1"), ("send", str(EXAMPLE_EVENT))])
def test_a_bus_that_does_not_exist_is_refused(
    target: Target, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    refused = run("nope", monkeypatch, target, *arguments)
    assert refused.exit_code == 1
    assert "There is no event bus 'nope'" in refused.stderr
