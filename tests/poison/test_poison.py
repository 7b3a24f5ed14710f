"""Every entry of the corpus is rejected with the required reason, or accepted and stored.

A control: the corpus finds all faults of a careless reader.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from lambda_fn import event
from lambda_fn.application import deliveries_of_batch, delivery_of_event
from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.sale import Sale
from tests.builders import FIRST_SEEN
from tests.poison import naive_reader
from tests.poison.corpus import CORPUS
from tests.poison.entry import Entry
from tests.poison.stores import Stores
from tests.poison.vocabulary import DETAILS, FORBIDDEN_IN_A_MESSAGE

ACCEPTED = [entry for entry in CORPUS if entry.reason is None]
REJECTED = [entry for entry in CORPUS if entry.reason is not None]


def name_of(entry: Entry) -> str:
    return entry.name.encode("unicode_escape").decode()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return Stores(tmp_path_factory.mktemp("poison"))


def delivered(entry: Entry, reader: Any = event) -> Delivery:
    if entry.direct:
        delivery: Delivery = reader.parse_event("1", entry.content, "the body", FIRST_SEEN)
    else:
        delivery = reader.parse_message("1", entry.content, FIRST_SEEN)
    return delivery


def test_the_corpus_is_large_and_covers_every_reason() -> None:
    assert len(REJECTED) >= 200
    reasons = Counter(entry.reason for entry in CORPUS)
    assert min(reasons[reason] for reason in (Reason.INVALID_JSON, Reason.NOT_A_SALE, Reason.INVALID_FIELD, None)) > 50
    assert sum(entry.direct for entry in CORPUS) > 50


def test_all_entries_differ() -> None:
    assert [name for name, count in Counter(entry.name for entry in CORPUS).items() if count > 1] == []
    bodies = Counter(entry.content for entry in CORPUS if not entry.direct)
    assert [body[:80] for body, count in bodies.items() if count > 1] == []


@pytest.mark.parametrize("entry", REJECTED, ids=name_of)
def test_the_entry_is_rejected_with_its_reason(entry: Entry) -> None:
    delivery = delivered(entry)
    assert isinstance(delivery.content, Rejection), delivery.content
    assert delivery.content.reason is entry.reason
    assert delivery.content.detail.startswith(entry.at)
    assert delivery.content.detail in DETAILS
    assert delivery.body == ("the body" if entry.direct else entry.content)


@pytest.mark.parametrize("entry", ACCEPTED, ids=name_of)
def test_the_entry_is_accepted_and_can_be_stored(entry: Entry, stores: Stores) -> None:
    delivery = delivered(entry)
    assert isinstance(delivery.content, Sale), delivery.content
    assert delivery.body == ("the body" if entry.direct else entry.content)
    stores.store(delivery.content)


def test_the_corpus_finds_the_faults_of_a_naive_reader() -> None:
    caught: Counter[str] = Counter()
    for entry in REJECTED:
        try:
            content = delivered(entry, naive_reader).content
        except Exception:
            caught["raises"] += 1
            continue
        if isinstance(content, Sale):
            caught["accepts"] += 1
        elif content.detail not in DETAILS:
            caught["may repeat a value"] += 1
    print(f"of {len(REJECTED)}: {dict(caught)}")  # noqa: T201
    assert min(caught[fault] for fault in ("raises", "accepts", "may repeat a value")) > 0


def test_a_batch_of_all_entries_gives_the_same_results() -> None:
    queued = [entry for entry in CORPUS if not entry.direct]
    records = [{"messageId": str(n), "body": entry.content, "attributes": {}} for n, entry in enumerate(queued)]
    deliveries = deliveries_of_batch({"Records": records})
    assert [delivery.body for delivery in deliveries] == [entry.content for entry in queued]
    assert [isinstance(delivery.content, Sale) for delivery in deliveries] == [entry.reason is None for entry in queued]


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if entry.direct], ids=name_of)
def test_a_direct_event_is_kept_as_text_that_reads_back(entry: Entry) -> None:
    delivery = delivery_of_event(entry.content, 0.0)
    assert not FORBIDDEN_IN_A_MESSAGE.search(delivery.body)
    assert str(json.loads(delivery.body)) == str(entry.content)
