"""A batch of deliveries: the outcome of its sale decides each delivery, and no delivery affects another."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Unpack

import pytest

from lambda_fn.errors import StoreUnavailable
from lambda_fn.event import parse_message
from lambda_fn.ports import MAX_IDS_PER_LINE, DeadLetter, Delivery, LogKeys, Metric, Reason, Rejection
from lambda_fn.process_deliveries import CONFLICT, Outcome, ProcessDeliveries, Result
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Completed, SaleOutcome, Unresolved
from tests.builders import ABSENT, FIRST_SEEN, body, event, sale
from tests.fakes.clock import FakeClock

TOO_LARGE = Rejection(Reason.ITEM_TOO_LARGE, "detail: larger than a DynamoDB item may be (400 KB)")
DEADLINE = Deadline.after(FakeClock(), 60)


def landed(sale: Sale) -> SaleOutcome:
    return Completed(sale.facts, by_this_attempt=True)


def landed_before(sale: Sale) -> SaleOutcome:
    return Completed(sale.facts)


def landed_with_other_facts(_: Sale) -> SaleOutcome:
    return Completed(sale(brand="other").facts)


def unresolved_with_these_facts(sale: Sale) -> SaleOutcome:
    return Unresolved("the commit is not known to have landed", sale.facts)


def unresolved_with_other_facts(_: Sale) -> SaleOutcome:
    return Unresolved("another attempt holds the sale", sale(brand="other").facts)


def unresolved_without_claim(_: Sale) -> SaleOutcome:
    return Unresolved("the guard could not be asked")


class ScriptedSync:
    """Gives each sale the outcome that the test chose for its id, and records the sales that it was given."""

    def __init__(self) -> None:
        self.given: list[Sale] = []
        self.calls = 0
        self.outcomes: dict[str, Callable[[Sale], SaleOutcome]] = {}
        self.error: Exception | None = None

    def sync(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, SaleOutcome]:
        self.calls += 1
        if self.error:
            raise self.error
        self.given.extend(sales)
        return {sale.key: self.outcomes.get(sale.sale_id, landed)(sale) for sale in sales}


@dataclass
class SmallProjection:
    """Rejects the sales with these ids as too large."""

    too_large: set[str] = field(default_factory=set)

    def rejects(self, sale: Sale) -> Rejection | None:
        return TOO_LARGE if sale.sale_id in self.too_large else None

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale]:
        raise AssertionError(sales)

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        raise AssertionError(sales)


@dataclass
class DeadLetterList:
    """Keeps all letters except those of the deliveries in ``refuses``."""

    refuses: set[str] = field(default_factory=set)
    kept: list[DeadLetter] = field(default_factory=list)

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        assert letters, "nothing to keep"
        assert request_id == "request-1"
        taken = [letter for letter in letters if letter.delivery.delivery_id not in self.refuses]
        self.kept.extend(taken)
        return {letter.delivery.delivery_id for letter in taken}

    @property
    def reasons(self) -> dict[str, Reason]:
        return {letter.delivery.delivery_id: letter.rejection.reason for letter in self.kept}


@dataclass
class RecordingTelemetry:
    """Records log lines and metrics."""

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
    """The code under test and its collaborators."""

    def __init__(self) -> None:
        self.sync = ScriptedSync()
        self.projection = SmallProjection()
        self.letters = DeadLetterList()
        self.telemetry = RecordingTelemetry()

    def process(self, *deliveries: Delivery) -> Mapping[str, Result]:
        sync_sales: Any = self.sync
        process = ProcessDeliveries(sync_sales, self.projection, self.letters, self.telemetry)
        return process.process(deliveries, "request-1", DEADLINE)

    def outcomes(self, *deliveries: Delivery) -> dict[str, Outcome]:
        return {delivery_id: result.outcome for delivery_id, result in self.process(*deliveries).items()}


@pytest.fixture
def world() -> World:
    return World()


def delivery(delivery_id: str, **detail_changes: object) -> Delivery:
    return parse_message(delivery_id, body(**detail_changes), FIRST_SEEN)


def malformed(delivery_id: str) -> Delivery:
    return parse_message(delivery_id, "{", FIRST_SEEN)


def test_a_sale_is_committed(world: World) -> None:
    assert world.process(delivery("a")) == {"a": Result(Outcome.COMMITTED)}
    assert world.sync.given == [sale()]
    assert world.letters.kept == []
    assert world.telemetry.measured[Metric.SALES_COMMITTED] == 1


@pytest.mark.parametrize(
    ("of_sale", "outcome", "rejection"),
    [
        (landed, Outcome.COMMITTED, None),
        (landed_before, Outcome.DUPLICATE, None),
        (landed_with_other_facts, Outcome.REJECTED, CONFLICT),
        (unresolved_with_these_facts, Outcome.GIVEN_BACK, None),
        (unresolved_with_other_facts, Outcome.REJECTED, CONFLICT),
        (unresolved_without_claim, Outcome.GIVEN_BACK, None),
    ],
)
def test_the_outcome_of_a_sale_decides_its_delivery(
    world: World, of_sale: Callable[[Sale], SaleOutcome], outcome: Outcome, rejection: Rejection | None
) -> None:
    world.sync.outcomes["sale-1"] = of_sale
    result = world.process(delivery("a"))["a"]
    assert (result.outcome, result.rejection) == (outcome, rejection)
    assert bool(result.cause) == (outcome is Outcome.GIVEN_BACK)


def test_each_sale_has_its_own_outcome(world: World) -> None:
    outcomes = [
        landed,
        landed_before,
        landed_with_other_facts,
        unresolved_with_these_facts,
        unresolved_with_other_facts,
        unresolved_without_claim,
    ]
    world.sync.outcomes = {f"s{number}": outcome for number, outcome in enumerate(outcomes)}
    deliveries = [delivery(f"d{number}", saleId=f"s{number}") for number in range(len(outcomes))]
    assert world.outcomes(*deliveries, malformed("p")) == {
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


def test_a_malformed_message_does_not_affect_the_others(world: World) -> None:
    deliveries = [delivery(f"d{number}", saleId=f"s{number}") for number in range(9)]
    outcomes = world.outcomes(*deliveries[:4], malformed("p"), *deliveries[4:])
    assert outcomes == {"p": Outcome.REJECTED} | {f"d{number}": Outcome.COMMITTED for number in range(9)}
    assert [letter.delivery.body for letter in world.letters.kept] == ["{"]


def test_a_batch_without_a_sale_reaches_no_store(world: World) -> None:
    outcomes = world.outcomes(malformed("a"), delivery("b", brand=ABSENT), delivery("c", salePrice="x"))
    assert set(outcomes.values()) == {Outcome.REJECTED}
    assert world.sync.calls == 0
    assert world.letters.reasons == {
        "a": Reason.INVALID_JSON,
        "b": Reason.INVALID_FIELD,
        "c": Reason.INVALID_FIELD,
    }


def test_an_empty_batch_has_no_results(world: World) -> None:
    assert world.process() == {}
    assert world.sync.calls == 0


# --- duplicates within a batch ---------------------------------------------------------------------------------------


def test_a_sale_delivered_twice_lands_once(world: World) -> None:
    outcomes = world.outcomes(delivery("a"), delivery("b", saleId="s2"), delivery("c"), delivery("d"))
    assert outcomes == {
        "a": Outcome.COMMITTED,
        "b": Outcome.COMMITTED,
        "c": Outcome.DUPLICATE,
        "d": Outcome.DUPLICATE,
    }
    assert [given.sale_id for given in world.sync.given] == ["sale-1", "s2"]
    assert world.telemetry.measured[Metric.SALES_COMMITTED] == 2
    assert world.telemetry.keys_of("[IdempotencyManager] Duplicate event detected") == [{"delivery_ids": ["c", "d"]}]


def test_both_deliveries_of_an_unresolved_sale_are_given_back(world: World) -> None:
    world.sync.outcomes["sale-1"] = unresolved_with_these_facts
    assert world.outcomes(delivery("a"), delivery("b")) == {"a": Outcome.GIVEN_BACK, "b": Outcome.GIVEN_BACK}
    assert world.letters.kept == []


def test_the_first_of_two_contradicting_deliveries_lands(world: World) -> None:
    results = world.process(delivery("a"), delivery("b", brand="another"), delivery("c"))
    assert results == {
        "a": Result(Outcome.COMMITTED),
        "b": Result(Outcome.REJECTED, CONFLICT),
        "c": Result(Outcome.DUPLICATE),
    }
    assert world.sync.given == [sale()]


def test_a_delivery_that_contradicts_the_stored_facts_is_rejected(world: World) -> None:
    stored = sale(brand="another").facts
    world.sync.outcomes["sale-1"] = lambda _: Completed(stored)
    outcomes = world.outcomes(delivery("a"), delivery("b", brand="another"))
    assert outcomes == {"a": Outcome.REJECTED, "b": Outcome.DUPLICATE}
    assert world.letters.reasons == {"a": Reason.CONFLICTING_DUPLICATE}


def test_two_tenants_may_use_the_same_sale_id(world: World) -> None:
    outcomes = world.outcomes(delivery("a"), delivery("b", tenantId="tenant-2", brand="another"))
    assert outcomes == {"a": Outcome.COMMITTED, "b": Outcome.COMMITTED}


# --- dead letters ----------------------------------------------------------------------------------------------------


def test_a_delivery_whose_letter_is_not_accepted_is_given_back(world: World) -> None:
    world.letters.refuses = {"p"}
    results = world.process(malformed("p"), malformed("q"), delivery("a"))
    assert results["p"].outcome is Outcome.GIVEN_BACK
    assert results["p"].rejection == malformed("p").content
    assert results["p"].cause == "the dead-letter queue did not take the event (INVALID_JSON)"
    assert results["q"].outcome is Outcome.REJECTED
    assert results["a"].outcome is Outcome.COMMITTED
    assert world.telemetry.reasons == [Reason.INVALID_JSON]


def test_a_conflict_whose_letter_is_not_accepted_is_given_back(world: World) -> None:
    world.letters.refuses = {"b"}
    outcomes = world.outcomes(delivery("a"), delivery("b", brand="another"))
    assert outcomes == {"a": Outcome.COMMITTED, "b": Outcome.GIVEN_BACK}


def test_a_sale_that_is_too_large_for_an_item_is_rejected(world: World) -> None:
    world.projection.too_large = {"s2"}
    results = world.process(delivery("a"), delivery("b", saleId="s2"))
    assert results == {"a": Result(Outcome.COMMITTED), "b": Result(Outcome.REJECTED, TOO_LARGE)}
    assert [given.sale_id for given in world.sync.given] == ["sale-1"]


# --- telemetry -------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_counted(world: World) -> None:
    world.process(delivery("a", novelty=1, other=2), delivery("b", saleId="s2", novelty=1), delivery("c", saleId="s3"))
    assert world.telemetry.measured[Metric.UNKNOWN_FIELDS] == 3


def test_the_log_lines_of_a_batch(world: World) -> None:
    world.sync.outcomes["s2"] = unresolved_without_claim
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


def test_a_large_batch_is_logged_in_several_lines(world: World) -> None:
    world.process(*(delivery(str(number), saleId=f"s{number}") for number in range(MAX_IDS_PER_LINE + 1)))
    lines = world.telemetry.keys_of("[CarouselSync] Processing product sale")
    assert [line.get("count") for line in lines] == [MAX_IDS_PER_LINE, 1]
    assert lines[1].get("sale_ids") == [f"s{MAX_IDS_PER_LINE}"]


def test_no_log_line_has_more_ids_than_a_line_may_hold(world: World) -> None:
    """Of duplicates, and of deliveries that are given back for the same cause."""
    ids = [str(number) for number in range(MAX_IDS_PER_LINE + 1)]
    for outcome in (landed_before, unresolved_without_claim):
        world.sync.outcomes = dict.fromkeys(ids, outcome)
        world.process(*(delivery(number, saleId=number) for number in ids))
    for text in ("[IdempotencyManager] Duplicate event detected", "[CarouselSync] Failed to sync"):
        lines = [line.get("delivery_ids", []) for line in world.telemetry.keys_of(text)]
        assert [len(line) for line in lines] == [MAX_IDS_PER_LINE, 1]
        assert [number for line in lines for number in line] == ids


def test_the_names_of_unknown_fields_are_logged(world: World) -> None:
    world.process(delivery("a", shade="red", **{"a sentence": 1}), delivery("b", saleId="b", shade="blue"))
    assert world.telemetry.keys_of("[CarouselSync] Unknown fields") == [{"count": 3, "unknown_fields": ["shade"]}]


def test_sales_land_before_letters_are_sent(world: World) -> None:
    """A dead-letter queue that does not answer uses up the time of the rejected events, and not of the sales."""
    clock = FakeClock()
    deadline = Deadline.after(clock, 30)

    def keep(letters: Sequence[DeadLetter], request_id: str, until: Deadline) -> set[str]:
        clock.sleep(until.remaining_seconds())
        return set()

    def sync(sales: Sequence[Sale], until: Deadline) -> dict[SaleKey, SaleOutcome]:
        assert until.allows(25), "the letters have used up the time"
        return {one.key: landed(one) for one in sales}

    collaborators: Any = (SimpleNamespace(sync=sync), world.projection, SimpleNamespace(keep=keep), world.telemetry)
    events = [*(malformed(f"bad-{number}") for number in range(120)), delivery("good")]
    results = ProcessDeliveries(*collaborators).process(events, "request-1", deadline)
    assert results["good"].outcome is Outcome.COMMITTED
    assert {result.outcome for name, result in results.items() if name != "good"} == {Outcome.GIVEN_BACK}


def test_an_event_id_with_an_unexpected_form_is_not_logged() -> None:
    events = [event() | {"id": wrong} for wrong in ("a b", "x" * 65, "", 7, None)]
    assert [parse_message("m", json.dumps(wrong), FIRST_SEEN).event_id for wrong in events] == [""] * 5


def test_an_error_of_the_use_case_is_raised(world: World) -> None:
    world.sync.error = StoreUnavailable("x")
    with pytest.raises(StoreUnavailable):
        world.process(delivery("a"))
