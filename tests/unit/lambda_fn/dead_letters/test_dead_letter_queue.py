"""The dead-letter queue: full batches, original bodies, and no letter reported that the queue may not have."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from lambda_fn.dead_letters.dead_letter_queue import BATCH_LIMIT, BYTES_LIMIT, SQSDeadLetters
from lambda_fn.ports import DeadLetter, Delivery, Reason, Rejection
from lambda_fn.runtime.retry import Deadline, Retry
from tests.builders import FIRST_SEEN
from tests.fakes.clock import FakeClock

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/carousel-sync-dlq-dev"
REJECTION = Rejection(Reason.INVALID_FIELD, "detail.brand: Field required")
MIB = 1024 * 1024
URL = {"endpoint_url": QUEUE_URL}

Answer = dict[str, Any]
Entries = list[dict[str, Any]]


class Always(random.Random):
    """Draws the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Queue:
    """A client of SQS that accepts batches as SQS does, or gives the answers of the test, one for each request."""

    def __init__(self) -> None:
        self.requests: list[Entries] = []
        self.stored: dict[str, Answer] = {}
        self.script: list[Callable[[Entries], Answer]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: Entries) -> Answer:  # noqa: N803 - the API's names
        assert QueueUrl == QUEUE_URL
        self.requests.append(Entries)
        return self.script.pop(0)(Entries) if self.script else self.take(Entries)

    def take(self, entries: Entries) -> Answer:
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        assert sum(size_of(entry) for entry in entries) <= MIB
        self.stored.update({entry["MessageBody"]: entry for entry in entries})
        return {"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in entries], "Failed": []}

    def take_only(self, *bodies: str) -> Callable[[Entries], Answer]:
        def answer(entries: Entries) -> Answer:
            taken = [entry for entry in entries if entry["MessageBody"] in bodies]
            failed = [{"Id": entry["Id"], "SenderFault": False} for entry in entries if entry not in taken]
            answer = self.take(taken) if taken else {}
            return answer | {"Failed": failed}

        return answer

    def take_but_lose_the_answer(self, entries: Entries) -> Answer:
        self.take(entries)
        raise ReadTimeoutError(**URL)


def size_of(entry: dict[str, Any]) -> int:
    """Return a message's size as SQS counts it: body, and names, types and values of attributes."""
    size = len(entry["MessageBody"].encode())
    for name, value in entry.get("MessageAttributes", {}).items():
        assert value["StringValue"]
        size += len(name.encode()) + len(value["DataType"].encode()) + len(value["StringValue"].encode())
    return size


def raising(error: Exception) -> Callable[[Entries], Answer]:
    def answer(_: Entries) -> Answer:
        raise error

    return answer


def letter(delivery_id: str, body: str = "", rejection: Rejection = REJECTION, first_seen: str = "") -> DeadLetter:
    return DeadLetter(Delivery(delivery_id, body or f"body of {delivery_id}", first_seen, rejection), rejection)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = Queue()

    def keep(self, *letters: DeadLetter, seconds: float = 60.0, request_id: str = "request-1") -> set[str]:
        client: Any = self.queue
        dead_letters = SQSDeadLetters(client, QUEUE_URL, Retry(self.clock, Always()))
        return set(dead_letters.keep(letters, request_id, Deadline.after(self.clock, seconds)))

    @property
    def batch_sizes(self) -> list[int]:
        return [len(entries) for entries in self.queue.requests]


@pytest.fixture
def world() -> World:
    return World()


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def test_a_letter_is_the_original_with_its_reason(world: World) -> None:
    original = ' {"détail" :\t"\U0001f45c\\u0000" }\r\n'
    assert world.keep(letter("a", original, first_seen=FIRST_SEEN)) == {"a"}
    (stored,) = world.queue.stored.values()
    assert stored["MessageBody"] == original
    assert stored["MessageAttributes"] == {
        "reason": text("INVALID_FIELD"),
        "detail": text("detail.brand: Field required"),
        "firstSeen": text(FIRST_SEEN),
        "requestId": text("request-1"),
    }


def test_unknown_values_have_no_attribute(world: World) -> None:
    world.keep(letter("a"), request_id="")
    (stored,) = world.queue.stored.values()
    assert stored["MessageAttributes"].keys() == {"reason", "detail"}


def test_without_letters_nothing_is_sent(world: World) -> None:
    assert world.keep() == set()


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (9, [9]), (10, [10]), (11, [10, 1]), (20, [10, 10]), (25, [10, 10, 5])]
)
def test_batches_have_at_most_ten_letters(world: World, count: int, sizes: list[int]) -> None:
    letters = [letter(f"d{number}") for number in range(count)]
    assert world.keep(*letters) == {f"d{number}" for number in range(count)}
    assert world.batch_sizes == sizes
    assert len(world.queue.stored) == count


def test_the_limits_match_those_of_sqs() -> None:
    assert (BATCH_LIMIT, BYTES_LIMIT) == (10, MIB)


def test_batches_have_at_most_a_mebibyte(world: World) -> None:
    letters = [letter(f"d{number}", f"{number}" * 300_000) for number in range(8)]
    assert len(world.keep(*letters)) == 8
    assert world.batch_sizes == [3, 3, 2]


@pytest.mark.parametrize("character", ["x", "é", "商", "👜"])
def test_a_letters_size_is_in_bytes_and_not_in_characters(world: World, character: str) -> None:
    body = character * (400_000 // len(character.encode()))
    world.keep(*[letter(f"d{number}", f"{number}{body}") for number in range(4)])
    assert world.batch_sizes == [2, 2]


def test_attributes_count_towards_the_size(world: World) -> None:
    world.keep(letter("one"))
    attributes = size_of(world.queue.requests.pop()[0]) - len("body of one")
    half = MIB // 2 - attributes
    world.keep(letter("a", "a" * half), letter("b", "b" * half))
    world.keep(letter("a", "a" * half), letter("b", "b" * (half + 1)))
    assert world.batch_sizes == [2, 1, 1]


def test_large_and_small_letters_share_batches_if_they_fit(world: World) -> None:
    letters = [letter(f"s{number}") for number in range(5)]
    world.keep(*letters, letter("large", "x" * (MIB - 2000)), *[letter(f"t{number}") for number in range(5)])
    assert sum(world.batch_sizes) == 11
    assert len(world.queue.stored) == 11
    assert len(world.batch_sizes) <= 3


def test_a_full_message_keeps_its_body(world: World) -> None:
    full, almost = "f" * MIB, "a" * (MIB - 50)
    assert world.keep(letter("small"), letter("full", full), letter("almost", almost)) == {"small", "full", "almost"}
    assert "MessageAttributes" not in world.queue.stored[full]
    assert "MessageAttributes" not in world.queue.stored[almost]
    assert "MessageAttributes" in world.queue.stored["body of small"]


def test_attributes_are_kept_as_long_as_they_fit(world: World) -> None:
    world.keep(letter("one"))
    attributes = size_of(world.queue.requests.pop()[0]) - len("body of one")
    world.keep(letter("a", "a" * (MIB - attributes)))
    world.keep(letter("b", "b" * (MIB - attributes + 1)))
    assert ["MessageAttributes" in entries[0] for entries in world.queue.requests] == [True, False]


# --- failures --------------------------------------------------------------------------------------------------------


def test_letters_that_were_not_accepted_are_sent_again(world: World) -> None:
    world.queue.script = [world.queue.take_only("body of b"), world.queue.take_only("body of c")]
    assert world.keep(letter("a"), letter("b"), letter("c")) == {"a", "b", "c"}
    sent = [[entry["MessageBody"][-1] for entry in entries] for entries in world.queue.requests]
    assert sent == [["a", "b", "c"], ["a", "c"], ["a"]]
    assert world.clock.monotonic() > 0


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch"),
        ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessageBatch"),
        ConnectTimeoutError(**URL),
        EndpointConnectionError(**URL),
        ReadTimeoutError(**URL),
        HTTPClientError(error="x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_retried(world: World, error: Exception) -> None:
    world.queue.script = [raising(error)]
    assert world.keep(letter("a")) == {"a"}
    assert world.batch_sizes == [1, 1]


def test_an_error_in_one_batch_does_not_affect_the_others(world: World) -> None:
    world.queue.script = [raising(ConnectTimeoutError(**URL)), world.queue.take, raising(ReadTimeoutError(**URL))]
    letters = [letter(f"d{number}") for number in range(25)]
    assert len(world.keep(*letters)) == 25
    assert world.batch_sizes == [10, 10, 5, 10, 5]


def test_a_letter_whose_answer_was_lost_is_sent_again(world: World) -> None:
    world.queue.script = [world.queue.take_but_lose_the_answer]
    assert world.keep(letter("a")) == {"a"}
    assert world.batch_sizes == [1, 1]


@pytest.mark.parametrize(
    "answer", [raising(EndpointConnectionError(**URL)), lambda _: {}, lambda _: {"Successful": [], "Failed": []}]
)
def test_nothing_is_kept_when_all_tries_fail(world: World, answer: Callable[[Entries], Answer]) -> None:
    world.queue.script = [answer] * 10
    assert world.keep(letter("a"), letter("b")) == set()
    assert len(world.queue.requests) == 3


def test_some_letters_are_kept_when_others_never_are(world: World) -> None:
    world.queue.script = [world.queue.take_only("body of b")] * 10
    assert world.keep(letter("a"), letter("b"), letter("c")) == {"b"}


def test_a_letter_without_any_answer_is_not_reported(world: World) -> None:
    world.queue.script = [world.queue.take_but_lose_the_answer] * 10
    assert world.keep(letter("a")) == set()
    assert world.queue.stored.keys() == {"body of a"}


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 4.9])
def test_nothing_is_sent_without_time_for_it(world: World, seconds: float) -> None:
    assert world.keep(letter("a"), seconds=seconds) == set()
    assert world.queue.requests == []


def test_the_deadline_ends_a_long_series_of_batches(world: World) -> None:
    def slowly(entries: Entries) -> Answer:
        world.clock.advance(4.0)
        return world.queue.take(entries)

    world.queue.script = [slowly] * 10
    letters = [letter(f"d{number}") for number in range(50)]
    assert len(world.keep(*letters, seconds=12.0)) == 20
    assert world.clock.monotonic() <= 12.0
