"""Putting events on the event bus: batches within its limits, retries, and the bus of a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from carousel_sync.aws.event_bus import ENTRIES_LIMIT, REQUEST_LIMIT_BYTES, BusEvent, EventBus, batches, bus_of
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from tests.fakes.clock import FakeClock

Answer = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class StackOnly:
    """A stage whose stack has these parameters. None: the stack does not exist."""

    stage = "dev"

    def __init__(self, parameters: dict[str, str] | None) -> None:
        self._parameters = parameters
        self.asked: list[tuple[str, str]] = []

    def client(self, service: str) -> StackOnly:
        self.asked.append((service, ""))
        return self

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.asked.append(("describe_stacks", StackName))
        if self._parameters is None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "DescribeStacks")
        found = [{"ParameterKey": key, "ParameterValue": value} for key, value in self._parameters.items()]
        return {"Stacks": [{"Parameters": found}]}


class Bus:
    """Gives these answers in turn, and the last one to every further request."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[list[str]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.requests.append([entry["Detail"] for entry in Entries])
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return {"Entries": answer(Entries)}


def accepted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"EventId": f"id of {entry['Detail']}"} for entry in entries]


def only_first_accepted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    throttled = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slower"}
    return [*accepted(entries[:1]), *[throttled for _ in entries[1:]]]


def none_accepted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"ErrorCode": "InternalFailure", "ErrorMessage": "try later"} for _ in entries]


def malformed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."} for _ in entries]


def event(detail: str) -> BusEvent:
    return BusEvent("carousel.products", "carousel.product.sold", detail)


def sizes(details: list[str]) -> list[int]:
    return [len(batch) for batch in batches([event(detail) for detail in details], lambda event: event.size_bytes)]


def test_a_batch_has_at_most_ten_events() -> None:
    assert sizes(["{}"] * 23) == [ENTRIES_LIMIT, ENTRIES_LIMIT, 3]
    assert sizes([]) == []


def test_a_batch_fits_into_one_request() -> None:
    assert sizes(["x" * 400_000] * 5) == [2, 2, 1]
    assert sizes(["{}", "x" * (REQUEST_LIMIT_BYTES - 38), "{}"]) == [1, 1, 1]


def test_the_size_is_measured_in_bytes() -> None:
    assert sizes(["é" * 300_000] * 2) == [1, 1]


def test_an_event_that_is_too_large_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="accepts 1,000,000 at most"):
        sizes(["x" * REQUEST_LIMIT_BYTES])


def test_failed_entries_are_sent_again() -> None:
    bus = Bus(only_first_accepted, none_accepted, accepted)
    ids = EventBus(bus, "default", FakeClock()).put([event("1"), event("2"), event("3")])
    assert ids == ["id of 1", "id of 2", "id of 3"]
    assert bus.requests == [["1", "2", "3"], ["2", "3"], ["2", "3"]]


def test_retries_are_limited() -> None:
    bus = Bus(only_first_accepted, none_accepted)
    with pytest.raises(
        StoreUnavailable, match=r"did not accept 1 of 2 events within 30 s .*InternalFailure: try later"
    ):
        EventBus(bus, "default", FakeClock()).put([event("1"), event("2")])
    assert len(bus.requests) < 100


def test_a_permanently_refused_entry_is_not_sent_again() -> None:
    bus = Bus(malformed)
    with pytest.raises(ConfigurationError, match="MalformedDetail"):
        EventBus(bus, "default", FakeClock()).put([event("1")])
    assert len(bus.requests) == 1


def test_the_bus_is_the_one_that_the_stage_receives_from() -> None:
    target = StackOnly({"Stage": "dev", "EventBusName": "sales"})
    assert bus_of(target) == "sales"  # type: ignore[arg-type]
    assert target.asked == [("cloudformation", ""), ("describe_stacks", "carousel-sync-dev")]


@pytest.mark.parametrize("parameters", [None, {"Stage": "dev"}])
def test_no_bus_is_guessed(parameters: dict[str, str] | None) -> None:
    with pytest.raises(ConfigurationError, match=r"Nothing was sent\..*--bus NAME"):
        bus_of(StackOnly(parameters))  # type: ignore[arg-type]
