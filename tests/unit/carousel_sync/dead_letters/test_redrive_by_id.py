"""``carousel-sync dlq redrive ID...`` with queues in memory."""

from __future__ import annotations

import json

import pytest

from carousel_sync.aws.target import Target
from tests.builders import body
from tests.fakes.sqs import FakeSQS
from tests.unit.carousel_sync.dead_letters.conftest import BUFFER, DEAD, failing, run


def test_redrive_sends_only_the_letters_with_the_given_ids(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, str(number), reason="INVALID_FIELD") for number in range(25)]
    code, text = run("redrive", ids[3], ids[17])
    assert (code, text) == (0, "2 sent back to the queue: INVALID_FIELD 2")
    assert queues.bodies(BUFFER) == ["3", "17"]
    assert queues.visible(DEAD) == [each for each in ids if each not in (ids[3], ids[17])]


def test_redrive_by_id_does_not_send_a_letter_with_the_same_event(target: Target, queues: FakeSQS) -> None:
    first, second = (queues.add(DEAD, "same", reason="INVALID_FIELD") for _ in range(2))
    assert run("redrive", second)[0] == 0
    assert queues.visible(DEAD) == [first]
    assert queues.bodies(BUFFER) == ["same"]


def test_redrive_fails_and_names_the_ids_that_it_did_not_find(target: Target, queues: FakeSQS) -> None:
    known = queues.add(DEAD, "event", reason="INVALID_FIELD")
    code, text = run("redrive", "nobody", known)
    assert code == 1
    assert "1 sent back to the queue" in text
    assert "No visible dead letter has the id nobody." in " ".join(text.split())
    assert queues.bodies(DEAD) == []
    code, text = run("redrive", known, "--json")
    assert (code, json.loads(text)["unknown"]) == (1, [known])


def test_a_dry_run_with_ids_changes_nothing(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body(), reason="INVALID_FIELD") for _ in range(12)]
    assert run("redrive", "--dry-run", ids[11]) == (0, "1 would be sent back to the queue: INVALID_FIELD 1")
    assert queues.visible(DEAD) == ids
    assert queues.bodies(BUFFER) == []


@pytest.mark.parametrize("request_name", ["send", "delete"])
def test_a_letter_given_by_id_stays_until_the_buffer_queue_has_it(
    target: Target, queues: FakeSQS, request_name: str
) -> None:
    ids = [queues.add(DEAD, "event") for _ in range(3)]
    queues.before = failing(request_name)
    assert run("redrive", ids[1])[0] == 1
    assert queues.visible(DEAD) == ids
    assert queues.bodies(BUFFER) == (["event"] if request_name == "delete" else [])


def test_redrive_of_an_id_reports_a_refused_event(target: Target, queues: FakeSQS) -> None:
    refused = queues.add(DEAD, "REFUSE")
    code, text = run("redrive", refused)
    assert code == 1
    assert "was not sent and stays in the dead-letter queue" in " ".join(text.split())
    assert "No visible dead letter" not in text


@pytest.mark.parametrize("options", [("--reason", "INVALID_FIELD"), ("--limit", "1")])
def test_ids_cannot_be_combined_with_a_reason_or_a_limit(
    target: Target, queues: FakeSQS, options: tuple[str, ...]
) -> None:
    given = queues.add(DEAD, "event", reason="INVALID_FIELD")
    code, text = run("redrive", given, *options)
    assert code != 0
    assert "either ids" in text
    assert queues.visible(DEAD) == [given]
