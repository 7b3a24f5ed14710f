"""DynamoDB in the simulation: every request is a step that the scheduler controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ReadTimeoutError

from tests.simulation.process import Process, Request, TimedOut, only
from tests.simulation.world import SimulatedClock, World


class SimulatedDynamoDB:
    """A DynamoDB client whose every request is a step that the scheduler controls."""

    def __init__(self, world: World, process: Process, clock: SimulatedClock) -> None:
        self._dynamodb = world.dynamodb
        self._process = process
        self._clock = clock

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Any:  # noqa: N803 - boto3's name
        ((table, wanted),) = RequestItems.items()
        text = f"reads {len(wanted['Keys'])} items of {table}"
        return self._send(text, [lambda: self._dynamodb.batch_get_item(RequestItems=RequestItems)], only, is_read=True)

    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> Any:  # noqa: N803
        ((table, writes),) = RequestItems.items()
        parts = [lambda write=write: self._dynamodb.batch_write_item(RequestItems={table: [write]}) for write in writes]
        verb = "deletes" if "DeleteRequest" in writes[0] else "puts"
        return self._send(f"{verb} {_ids(writes)} in {table}", parts, only)

    def query(self, **request: Any) -> Any:
        text = f"queries {request['TableName']}"
        return self._send(text, [lambda: self._dynamodb.query(**request)], only, is_read=True)

    def batch_execute_statement(self, *, Statements: Sequence[Any]) -> Any:  # noqa: N803
        verb = "inserts" if Statements[0]["Statement"].startswith("INSERT") else "updates"
        parts = [lambda each=each: self._dynamodb.batch_execute_statement(Statements=[each]) for each in Statements]
        return self._send(f"{verb} {_ids(Statements)} in guard", parts, _all_responses)

    def _send(
        self, text: str, parts: Sequence[Callable[[], Any]], combine: Callable[[list[Any]], Any], is_read: bool = False
    ) -> Any:
        try:
            return self._process.request(Request(text, parts, combine, is_read))
        except TimedOut:
            self._clock.sleep(1)
            raise ReadTimeoutError(endpoint_url="dynamodb") from None


def _all_responses(responses: list[Any]) -> Any:
    return {"Responses": [each for response in responses for each in response["Responses"]]}


def _ids(requests: Sequence[Any]) -> str:
    text = repr(requests)
    for marker, name in (("carousel.product.sold#", "sale"), ("ENTRY#", "entry")):
        ids = {part.split("'")[0] for part in text.split(marker)[1:]}
        if ids:
            return f"{name} {'+'.join(sorted(ids))}"
    return "lease" if "'LEASE'" in text else "items"
