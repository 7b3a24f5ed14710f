"""A batch of deliveries: each gets the outcome that its sale's fate calls for, and no other suffers from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Unpack

import pytest

from lambda_fn.errors import StoreUnavailable
from lambda_fn.event import parse_message
from lambda_fn.ports import DeadLetter, Delivery, LogKeys, Metric, Reason, Rejection
from lambda_fn.process_deliveries import CONFLICT, IDS_OF_A_LINE, Outcome, ProcessDeliveries, Result
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Done, Fate, Open, SyncSales
from tests.builders import ABSENT, FIRST_SEEN, body, event, sale
from tests.fakes.clock import FakeClock

TOO_LARGE = Rejection(Reason.ITEM_TOO_LARGE, "detail: larger than a DynamoDB item may be (400 KB)")
DEADLINE = Deadline.after(FakeClock(), 60)


def landed(sale: Sale) -> Fate:
    return Done(sale.payload_hash, by_this_attempt=True)


def landed_before(sale: Sale) -> Fate:
    return Done(sale.payload_hash)


def landed_with_other_facts(_: Sale) -> Fate:
    return Done("0" * 64)


def open_with_these_facts(sale: Sale) -> Fate:
    return Open("the commit is not known to have landed", sale.payload_hash)


def open_with_other_facts(_: Sale) -> Fate:
    return Open("another attempt holds the sale", "0" * 64)


def open_unasked(_: Sale) -> Fate:
    return Open("the guard could not be asked")


class ScriptedSync(SyncSales):
    """Gives each sale the fate that the test chose for its id, and remembers what it was asked to land."""

    def __init__(self) -> None:
        self.asked: list[Sale] = []
        self.calls = 0
        self.fates: dict[str, Callable[[Sale], Fate]] = {}
        self.error: Exception | None = None

    def sync(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Fate]:
        self.calls += 1
        if self.error:
            raise self.error
        self.asked.extend(sales)
        return {sale.key: self.fates.get(sale.sale_id, landed)(sale) for sale in sales}


@dataclass
class SmallProjection:
    """Refuses the items of the sales with these ids."""

    too_large: set[str] = field(default_factory=set)

    def rejects(self, sale: Sale) -> Rejection | None:
        return TOO_LARGE if sale.sale_id in self.too_large else None

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale]:
        raise AssertionError(sales)

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        raise AssertionError(sales)


@dataclass
class DeadLetterList:
    """Keeps all letters but those of the deliveries in ``refuses``."""

    refuses: set[str] = field(default_factory=set)
    kept: list[DeadLetter] = field(default_factory=list)

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        assert request_id == "request-1"
        taken = [letter for letter in letters if letter.delivery.delivery_id not in self.refuses]
        self.kept.extend(taken)
        return {letter.delivery.delivery_id for letter in taken}

    @property
    def reasons(self) -> dict[str, Reason]:
        return {letter.delivery.delivery_id: letter.rejection.reason for letter in self.kept}


@dataclass
class RecordingTelemetry:
    """Remembers what was told."""

    lines: list[tuple[str, LogKeys]] = field(default_factory=list)
    measured: dict[Metric, float] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        self.lines.append((text, keys))

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        self.lines.append((text, keys))

    def measure(self, metric: Metric, value: float) -> None:
        self.measured[metric] = self.measured.get(metric, 0) + value

    def rejected(self, reason: Reason) -> None:
        self.reasons.append(reason)

    def keys_of(self, text: str) -> list[LogKeys]:
        return [keys for line, keys in self.lines if line == text]


class World:
    """The code under test among its collaborators."""

    def __init__(self) -> None:
        self.sync = ScriptedSync()
        self.projection = SmallProjection()
        self.letters = DeadLetterList()
        self.telemetry = RecordingTelemetry()

    def process(self, *deliveries: Delivery) -> Mapping[str, Result]:
        process = ProcessDeliveries(self.sync, self.projection, self.letters, self.telemetry)
        return process.process(deliveries, "request-1", DEADLINE)

    def outcomes(self, *deliveries: Delivery) -> dict[str, Outcome]:
        return {delivery_id: result.outcome for delivery_id, result in self.process(*deliveries).items()}


@pytest.fixture
def world() -> World:
    return World()


def delivery(delivery_id: str, **detail_changes: object) -> Delivery:
    return parse_message(delivery_id, body(**detail_changes), FIRST_SEEN)


def poison(delivery_id: str) -> Delivery:
    return parse_message(delivery_id, "{", FIRST_SEEN)


def test_a_sale_is_committed(world: World) -> None:
    assert world.process(delivery("a")) == {"a": Result(Outcome.COMMITTED)}
    assert world.sync.asked == [sale()]
    assert world.letters.kept == []
    assert world.telemetry.measured[Metric.SALES_COMMITTED] == 1


@pytest.mark.parametrize(
    ("fate", "outcome", "rejection"),
    [
        (landed, Outcome.COMMITTED, None),
        (landed_before, Outcome.DUPLICATE, None),
        (landed_with_other_facts, Outcome.REJECTED, CONFLICT),
        (open_with_these_facts, Outcome.GIVEN_BACK, None),
        (open_with_other_facts, Outcome.REJECTED, CONFLICT),
        (open_unasked, Outcome.GIVEN_BACK, None),
    ],
)
def test_the_fate_decides(
    world: World, fate: Callable[[Sale], Fate], outcome: Outcome, rejection: Rejection | None
) -> None:
    world.sync.fates["sale-1"] = fate
    result = world.process(delivery("a"))["a"]
    assert (result.outcome, result.rejection) == (outcome, rejection)
    assert bool(result.cause) == (outcome is Outcome.GIVEN_BACK)


def test_each_sale_has_its_own_fate(world: World) -> None:
    fates = [landed, landed_before, landed_with_other_facts, open_with_these_facts, open_with_other_facts, open_unasked]
    world.sync.fates = {f"s{number}": fate for number, fate in enumerate(fates)}
    deliveries = [delivery(f"d{number}", saleId=f"s{number}") for number in range(len(fates))]
    assert world.outcomes(*deliveries, poison("p")) == {
        "d0": Outcome.COMMITTED,
        "d1": Outcome.DUPLICATE,
        "d2": Outcome.REJECTED,
        "d3": Outcome.GIVEN_BACK,
        "d4": Outcome.REJECTED,
        "d5": Outcome.GIVEN_BACK,
        "p": Outcome.REJECTED,
    }
    assert world.letters.reasons == {
        "p": Reason.INVALID_JSON,
        "d2": Reason.CONFLICTING_DUPLICATE,
        "d4": Reason.CONFLICTING_DUPLICATE,
    }
    measured = world.telemetry.measured
    assert (measured[Metric.BATCH_SIZE], measured[Metric.SALES_COMMITTED]) == (7, 1)
    assert (measured[Metric.DUPLICATES], measured[Metric.GIVEN_BACK]) == (1, 2)
    assert sorted(world.telemetry.reasons) == ["CONFLICTING_DUPLICATE", "CONFLICTING_DUPLICATE", "INVALID_JSON"]


def test_one_poisonous_message_leaves_the_others_unharmed(world: World) -> None:
    deliveries = [delivery(f"d{number}", saleId=f"s{number}") for number in range(9)]
    outcomes = world.outcomes(*deliveries[:4], poison("p"), *deliveries[4:])
    assert outcomes == {"p": Outcome.REJECTED} | {f"d{number}": Outcome.COMMITTED for number in range(9)}
    assert [letter.delivery.body for letter in world.letters.kept] == ["{"]


def test_a_batch_of_poison_touches_no_store(world: World) -> None:
    outcomes = world.outcomes(poison("a"), delivery("b", brand=ABSENT), delivery("c", salePrice="x"))
    assert set(outcomes.values()) == {Outcome.REJECTED}
    assert world.sync.calls == 0
    assert world.letters.reasons == {
        "a": Reason.INVALID_JSON,
        "b": Reason.INVALID_FIELD,
        "c": Reason.INVALID_FIELD,
    }


def test_an_empty_batch_is_answered(world: World) -> None:
    assert world.process() == {}
    assert world.sync.calls == 0


# --- duplicates within a batch ---------------------------------------------------------------------------------------


def test_a_sale_that_comes_twice_lands_once(world: World) -> None:
    outcomes = world.outcomes(delivery("a"), delivery("b", saleId="s2"), delivery("c"), delivery("d"))
    assert outcomes == {
        "a": Outcome.COMMITTED,
        "b": Outcome.COMMITTED,
        "c": Outcome.DUPLICATE,
        "d": Outcome.DUPLICATE,
    }
    assert [asked.sale_id for asked in world.sync.asked] == ["sale-1", "s2"]
    assert world.telemetry.measured[Metric.SALES_COMMITTED] == 2
    assert world.telemetry.keys_of("[IdempotencyManager] Duplicate event detected") == [{"delivery_ids": ["c", "d"]}]


def test_a_sale_that_comes_twice_comes_back_twice_when_it_is_open(world: World) -> None:
    world.sync.fates["sale-1"] = open_with_these_facts
    assert world.outcomes(delivery("a"), delivery("b")) == {"a": Outcome.GIVEN_BACK, "b": Outcome.GIVEN_BACK}
    assert world.letters.kept == []


def test_of_two_that_contradict_each_other_the_first_counts(world: World) -> None:
    results = world.process(delivery("a"), delivery("b", brand="another"), delivery("c"))
    assert results == {
        "a": Result(Outcome.COMMITTED),
        "b": Result(Outcome.REJECTED, CONFLICT),
        "c": Result(Outcome.DUPLICATE),
    }
    assert world.sync.asked == [sale()]


def test_of_two_that_contradict_each_other_the_stored_one_counts(world: World) -> None:
    stored = sale(brand="another").payload_hash
    world.sync.fates["sale-1"] = lambda _: Done(stored)
    outcomes = world.outcomes(delivery("a"), delivery("b", brand="another"))
    assert outcomes == {"a": Outcome.REJECTED, "b": Outcome.DUPLICATE}
    assert world.letters.reasons == {"a": Reason.CONFLICTING_DUPLICATE}


def test_the_same_sale_id_of_two_tenants_is_two_sales(world: World) -> None:
    outcomes = world.outcomes(delivery("a"), delivery("b", tenantId="tenant-2", brand="another"))
    assert outcomes == {"a": Outcome.COMMITTED, "b": Outcome.COMMITTED}


# --- dead letters ----------------------------------------------------------------------------------------------------


def test_a_letter_that_is_not_taken_is_given_back(world: World) -> None:
    world.letters.refuses = {"p"}
    results = world.process(poison("p"), poison("q"), delivery("a"))
    assert results["p"].outcome is Outcome.GIVEN_BACK
    assert results["p"].cause == "the dead-letter queue did not take the event (INVALID_JSON)"
    assert results["q"].outcome is Outcome.REJECTED
    assert results["a"].outcome is Outcome.COMMITTED
    assert world.telemetry.reasons == [Reason.INVALID_JSON]


def test_a_conflict_that_is_not_taken_is_given_back(world: World) -> None:
    world.letters.refuses = {"b"}
    outcomes = world.outcomes(delivery("a"), delivery("b", brand="another"))
    assert outcomes == {"a": Outcome.COMMITTED, "b": Outcome.GIVEN_BACK}


def test_an_item_that_is_too_large_is_no_sale_to_land(world: World) -> None:
    world.projection.too_large = {"s2"}
    results = world.process(delivery("a"), delivery("b", saleId="s2"))
    assert results == {"a": Result(Outcome.COMMITTED), "b": Result(Outcome.REJECTED, TOO_LARGE)}
    assert [asked.sale_id for asked in world.sync.asked] == ["sale-1"]


# --- telemetry -------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_counted(world: World) -> None:
    world.process(delivery("a", novelty=1, other=2), delivery("b", saleId="s2", novelty=1), delivery("c", saleId="s3"))
    assert world.telemetry.measured[Metric.UNKNOWN_FIELDS] == 3


def test_what_is_logged_of_a_batch(world: World) -> None:
    world.sync.fates["s2"] = open_unasked
    world.process(delivery("a"), delivery("b", saleId="s2"), delivery("c", brand=ABSENT))
    telemetry = world.telemetry
    event_id = event()["id"]
    assert telemetry.keys_of("[CarouselSync] Processing product sale") == [
        {"count": 2, "delivery_ids": ["a", "b"], "event_ids": [event_id] * 2, "sale_ids": ["sale-1", "s2"]}
    ]
    assert telemetry.keys_of("[CarouselSync] Failed to sync") == [
        {"cause": "the guard could not be asked", "delivery_ids": ["b"]}
    ]
    assert telemetry.keys_of("[CarouselSync] Event rejected") == [
        {
            "delivery_ids": ["c"],
            "event_ids": [event_id],
            "reason": "INVALID_FIELD",
            "detail": "detail.brand: Field required",
        }
    ]


def test_a_large_batch_is_told_in_several_lines(world: World) -> None:
    world.process(*(delivery(str(number), saleId=f"s{number}") for number in range(IDS_OF_A_LINE + 1)))
    lines = world.telemetry.keys_of("[CarouselSync] Processing product sale")
    assert [line.get("count") for line in lines] == [IDS_OF_A_LINE, 1]
    assert lines[1].get("sale_ids") == [f"s{IDS_OF_A_LINE}"]


def test_what_does_not_look_like_an_id_is_not_logged_as_one() -> None:
    given = [event() | {"id": wrong} for wrong in ("a b", "x" * 65, "", 7, None)]
    assert [parse_message("m", json.dumps(one), FIRST_SEEN).event_id for one in given] == [""] * 5


def test_an_error_of_the_use_case_is_not_hidden(world: World) -> None:
    world.sync.error = StoreUnavailable("x")
    with pytest.raises(StoreUnavailable):
        world.process(delivery("a"))
