"""Batches are packed as the queue packs them, and redelivered as the queue redelivers them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from carousel_sync.bench.payloads import Payload, delivered_again, prepare, prepare_events
from carousel_sync.events.generate import Recipe
from carousel_sync.planning.capacity import INVOCATION_LIMIT_BYTES

ARN = "arn:aws:sqs:eu-west-1:000000000000:queue"
RECIPE = Recipe(25, seed=3, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=4)


def records(payload: Payload) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(payload.path.read_text())["Records"]
    return found


def test_batches_hold_every_event_once(tmp_path: Path) -> None:
    sizes: list[int] = []
    prepared = prepare(RECIPE, 10, ARN, tmp_path, sizes.append)
    assert sizes == [10, 10, 5]
    assert [payload.messages for payload in prepared.payloads] == sizes
    ids = [record["messageId"] for payload in prepared.payloads for record in records(payload)]
    assert len(set(ids)) == 25
    assert len(prepared.sales) == 25


def test_duplicates_are_the_same_sale(tmp_path: Path) -> None:
    prepared = prepare(replace(RECIPE, duplicates=0.2), 100, ARN, tmp_path)
    assert sum(payload.messages for payload in prepared.payloads) == 25
    assert len(prepared.sales) == 20


def test_no_batch_is_larger_than_an_invocation_can_carry(tmp_path: Path) -> None:
    prepared = prepare(replace(RECIPE, count=300, embedding=4096), 300, ARN, tmp_path)
    sizes = [payload.path.stat().st_size for payload in prepared.payloads]
    assert sum(payload.messages for payload in prepared.payloads) == 300
    assert max(sizes) <= INVOCATION_LIMIT_BYTES
    assert len(sizes) == 3
    # All but the last are full: one more event would not have fitted.
    assert min(sizes[:-1]) > INVOCATION_LIMIT_BYTES - 60_000


def test_each_event_is_a_file_of_its_own(tmp_path: Path) -> None:
    prepared = prepare_events(RECIPE, tmp_path)
    events = [json.loads(payload.path.read_text()) for payload in prepared.payloads]
    assert len({event["id"] for event in events}) == 25
    assert len(prepared.sales) == 25
    assert {payload.messages for payload in prepared.payloads} == {1}
    again, wait = delivered_again(prepared.payloads[0], None)
    assert (again.path, again.deliveries, wait) == (prepared.payloads[0].path, 2, 60)


def test_given_back_messages_are_delivered_again_after_growing_pauses(tmp_path: Path) -> None:
    first = prepare(RECIPE, 10, ARN, tmp_path).payloads[0]
    ids = [record["messageId"] for record in records(first)]
    second, wait = delivered_again(first, {ids[3], ids[7]})
    assert [record["messageId"] for record in records(second)] == [ids[3], ids[7]]
    assert (second.messages, second.deliveries, wait) == (2, 2, 10)
    third, wait = delivered_again(second, None)
    assert (third.messages, third.deliveries, wait) == (2, 3, 20)
