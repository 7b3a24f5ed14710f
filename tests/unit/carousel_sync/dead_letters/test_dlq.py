"""The dead-letter commands with queues in memory: reading, sending back, and interruptions of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from typer.testing import CliRunner

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import EXIT_INTERRUPTED
from carousel_sync.dead_letters import commands
from carousel_sync.dead_letters import redrive as redriving
from carousel_sync.dead_letters.formatting import pretty
from carousel_sync.dead_letters.queue import HIDDEN_SECONDS, scanning
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection
from tests.builders import body
from tests.fakes.sqs import FakeSQS, client_error
from tests.unit.carousel_sync.dead_letters.test_letters import wrapped

DEAD = "https://sqs/dead"
BUFFER = "https://sqs/buffer"


class Deployed:
    """A target that has queues and nothing else."""

    flags = "--stage test"

    def __init__(self, queues: FakeSQS) -> None:
        self._queues = queues

    @property
    def settings(self) -> Any:
        return type("Settings", (), {"dead_letter_queue_url": DEAD})

    def client(self, service: str) -> FakeSQS:
        assert service == "sqs"
        return self._queues


@pytest.fixture
def queues() -> FakeSQS:
    return FakeSQS(DEAD, BUFFER)


@pytest.fixture
def target(queues: FakeSQS, monkeypatch: pytest.MonkeyPatch) -> Target:
    found = cast("Target", Deployed(queues))
    monkeypatch.setattr(redriving, "buffer_queue_url", lambda _: BUFFER)
    monkeypatch.setattr(commands, "resolve", lambda *_: found)
    return found


def redriven(target: Target, *reasons: str, limit: int | None = None, dry_run: bool = False) -> Redriven:
    return Redrive(target, Selection(frozenset(reasons), limit, dry_run)).run()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(commands.app, list(arguments))
    return result.exit_code, (result.stdout + result.stderr).strip()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_scan_reads_every_letter_once_and_leaves_them_visible(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body(), reason="INVALID_FIELD") for _ in range(25)]
    with scanning(target) as scan:
        seen = [letter.message_id for batch in scan.batches() for letter in batch]
        assert scan.complete
        assert queues.visible(DEAD) == []
    assert seen == queues.visible(DEAD) == ids


def test_an_interrupted_scan_leaves_every_letter_visible(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body()) for _ in range(25)]
    calls = iter(range(3))

    def before(request: str) -> None:
        if request == "receive" and next(calls) == 2:
            raise KeyboardInterrupt

    queues.before = before
    with pytest.raises(KeyboardInterrupt), scanning(target) as scan:
        list(scan.batches())
    assert queues.visible(DEAD) == ids


def test_letters_that_cannot_be_released_become_visible_by_themselves(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body()) for _ in range(25)]
    queues.before = failing("change")
    with scanning(target) as scan:
        assert sum(map(len, scan.batches())) == 25
    assert queues.visible(DEAD) == []
    queues.now += HIDDEN_SECONDS
    assert queues.visible(DEAD) == ids


def test_a_scan_ends_before_its_first_letters_become_visible_again(
    target: Target, queues: FakeSQS, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(25):
        queues.add(DEAD, body())
    times = iter([0.0, 1.0, HIDDEN_SECONDS + 1.0])
    monkeypatch.setattr("carousel_sync.dead_letters.queue.time", SimpleNamespace(monotonic=lambda: next(times)))
    with scanning(target) as scan:
        assert sum(map(len, scan.batches())) == 10
    assert not scan.complete


def failing(name: str, error: Callable[[], BaseException] = lambda: client_error("ServiceUnavailable")) -> Any:
    def before(request: str) -> None:
        if request == name:
            raise error()

    return before


# --- sending back ----------------------------------------------------------------------------------------------------


def test_redrive_sends_every_event_back_unchanged(target: Target, queues: FakeSQS) -> None:
    bodies = [body(saleId=f"sale-{number}") for number in range(23)]
    for text in bodies:
        queues.add(DEAD, text, reason="INVALID_FIELD")
    queues.add(DEAD, wrapped(body(saleId="wrapped")))
    done = redriven(target)
    assert done.sent == {"INVALID_FIELD": 23, "FUNCTION_FAILED": 1}
    assert done.complete
    assert queues.bodies(DEAD) == []
    assert queues.bodies(BUFFER) == [*bodies, body(saleId="wrapped")]
    assert all(not message.attributes for message in queues.queues[BUFFER])


def test_redrive_sends_only_the_selected_reasons(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "1", reason="INVALID_FIELD")
    kept = queues.add(DEAD, "2", reason="NOT_A_SALE")
    queues.add(DEAD, "3", DeadLetterQueueSourceArn="arn")
    done = redriven(target, "INVALID_FIELD", "GAVE_UP")
    assert done.sent == {"INVALID_FIELD": 1, "GAVE_UP": 1}
    assert done.kept == {"NOT_A_SALE": 1}
    assert queues.visible(DEAD) == [kept]
    assert queues.bodies(BUFFER) == ["1", "3"]


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 24, 25, 26])
def test_redrive_sends_at_most_the_limit(target: Target, queues: FakeSQS, limit: int) -> None:
    for number in range(25):
        queues.add(DEAD, str(number), reason="INVALID_FIELD")
    assert redriven(target, limit=limit).sent.total() == min(limit, 25)
    assert len(queues.bodies(BUFFER)) == min(limit, 25)
    assert len(queues.visible(DEAD)) == max(0, 25 - limit)


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


def test_a_dry_run_changes_nothing(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body(), reason="INVALID_FIELD") for _ in range(12)]
    assert redriven(target, dry_run=True).sent == {"INVALID_FIELD": 12}
    assert queues.visible(DEAD) == ids
    assert queues.bodies(BUFFER) == []


def test_an_event_that_is_rejected_again_is_not_sent_again(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "bad", reason="INVALID_FIELD")

    def function_rejects(request: str) -> None:
        if request == "delete":
            queues.now += 5
            queues.add(DEAD, "bad", reason="INVALID_FIELD")

    queues.before = function_rejects
    done = redriven(target)
    assert (done.sent.total(), done.newer) == (1, 1)
    assert queues.bodies(BUFFER) == ["bad"]
    assert len(queues.visible(DEAD)) == 1


def test_what_is_rejected_again_within_the_same_second_is_not_sent_again(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "bad", reason="INVALID_FIELD")

    def function_rejects(request: str) -> None:
        if request == "delete":
            queues.add(DEAD, "bad", reason="INVALID_FIELD")

    queues.before = function_rejects
    done = redriven(target)
    assert (done.sent.total(), done.newer) == (1, 1)
    queues.before = lambda _: None
    assert redriven(target).sent.total() == 1
    assert queues.bodies(DEAD) == []


def test_large_events_are_sent_one_by_one(target: Target, queues: FakeSQS) -> None:
    for number in range(4):
        queues.add(DEAD, str(number) + "x" * 600_000)
    assert redriven(target).sent.total() == 4
    assert len(queues.bodies(BUFFER)) == 4


def test_a_refused_event_stays_in_the_dead_letter_queue(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "good")
    refused = queues.add(DEAD, "REFUSE")
    hollow = queues.add(DEAD, json.dumps({"requestContext": {}, "responseContext": {}}))
    done = redriven(target)
    assert done.refused.keys() == {refused, hollow}
    assert done.sent.total() == 1
    assert queues.visible(DEAD) == [refused, hollow]


def test_an_event_is_deleted_only_after_the_buffer_queue_has_accepted_it(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, body()) for _ in range(3)]
    queues.before = failing("send")
    with pytest.raises(Exception, match="ServiceUnavailable"):
        redriven(target)
    assert queues.visible(DEAD) == ids
    assert queues.bodies(BUFFER) == []


def test_an_event_that_cannot_be_deleted_is_reported_and_sent_once(target: Target, queues: FakeSQS) -> None:
    ids = [queues.add(DEAD, "event") for _ in range(3)]
    queues.before = failing("delete")
    assert redriven(target).not_deleted == ids
    assert queues.bodies(BUFFER) == ["event"] * 3
    assert queues.visible(DEAD) == ids
    queues.before = lambda _: None
    assert redriven(target).sent.total() == 3
    assert queues.bodies(DEAD) == []


@pytest.mark.parametrize("request_name", ["receive", "send", "delete", "change"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_event_is_lost_by_an_interruption_at_any_request(
    target: Target, queues: FakeSQS, request_name: str, number: int
) -> None:
    events = {f"event-{count}" for count in range(25)}
    for text in sorted(events):
        queues.add(DEAD, text)
    left = number

    def before(request: str) -> None:
        nonlocal left
        left -= request == request_name
        if request == request_name and not left:
            raise KeyboardInterrupt

    queues.before = before
    work = Redrive(target, Selection())
    interrupted = False
    try:
        work.run()
    except KeyboardInterrupt:
        interrupted = True
    assert interrupted or request_name == "change"
    assert {*queues.bodies(DEAD), *queues.bodies(BUFFER)} == events
    queues.before = lambda _: None
    queues.now += HIDDEN_SECONDS
    redriven(target)
    assert queues.bodies(DEAD) == []
    assert set(queues.bodies(BUFFER)) == events


# --- the commands ----------------------------------------------------------------------------------------------------


def test_list_reports_an_empty_queue(target: Target) -> None:
    assert run("list") == (0, "The dead-letter queue is empty.")
    assert json.loads(run("list", "--json")[1])["total"] == 0


def test_list_groups_letters_by_reason(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, body(), reason="INVALID_FIELD", detail="newer", firstSeen="2026-02-01T00:00:00.000Z")
    oldest = queues.add(DEAD, body(), reason="INVALID_FIELD", detail="older", firstSeen="2026-01-01T00:00:00.000Z")
    queues.add(DEAD, body(), DeadLetterQueueSourceArn="arn")
    code, text = run("list", "--json")
    document = json.loads(text)
    assert (code, document["total"], document["complete"], document["hidden"]) == (0, 3, True, 0)
    gave_up, invalid = document["reasons"]
    assert (gave_up["reason"], gave_up["count"]) == ("GAVE_UP", 1)
    assert (invalid["count"], invalid["oldest"]) == (2, "2026-01-01T00:00:00.000Z")
    assert (invalid["example"]["id"], invalid["example"]["detail"]) == (oldest, "older")
    assert "INVALID_FIELD" in run("list")[1]
    assert run("list", "--reason", "NOT_A_SALE") == (0, "No dead letter has the reason NOT_A_SALE.")
    assert oldest in run("list", "--reason", "invalid_field")[1].replace("\n", "")


def test_list_reports_hidden_letters(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, body())
    with scanning(target) as scan:
        list(scan.batches())
        text = run("list")[1]
    assert "somebody else is reading the queue" in " ".join(text.split())


def test_show_prints_the_attributes_and_the_body(target: Target, queues: FakeSQS) -> None:
    text = '{"detail": {"salePrice": 450.10, "embedding": [0.10, 2e-7, 3], "note": "a\\u001b[31m"}}'
    for _ in range(15):
        queues.add(DEAD, "another")
    message_id = queues.add(DEAD, text, reason="INVALID_FIELD", detail="why \x1b[31m", requestId="r-1")
    code, shown = run("show", message_id)
    assert code == 0
    assert '"salePrice": 450.10' in shown
    assert '"embedding": [ 0.10, 2e-7, 3 ]' in shown
    assert "requestId  r-1" in shown
    assert "\x1b" not in shown
    assert len(queues.visible(DEAD)) == 16
    document = json.loads(run("show", message_id, "--json")[1])
    assert document["body"] == text
    assert document["attributes"]["detail"] == "why \x1b[31m"


def test_show_reports_an_unknown_id(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "another")
    code, text = run("show", "nobody")
    assert code == 1
    assert "carousel-sync dlq list --json --stage test" in " ".join(text.split())


@pytest.mark.parametrize("text", ["not json", "[1, 2", "[" * 100_000, '{"a": "\\ud800"}'])
def test_a_body_that_cannot_be_indented_is_not_changed(text: str) -> None:
    assert pretty(text) == text


def test_redrive_reports_what_it_sent(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "1", reason="INVALID_FIELD")
    queues.add(DEAD, "2", reason="NOT_A_SALE")
    code, text = run("redrive", "--reason", "invalid_field", "--dry-run")
    assert (code, text.splitlines()[0]) == (0, "1 would be sent back to the queue: INVALID_FIELD 1")
    code, text = run("redrive", "--reason", "invalid_field")
    assert (code, text.splitlines()[0]) == (0, "1 sent back to the queue: INVALID_FIELD 1")
    assert "NOT_A_SALE 1" in text
    document = json.loads(run("redrive", "--json")[1])
    assert (document["sent"], document["refused"], document["not_deleted"]) == (1, {}, [])


def test_redrive_fails_when_a_letter_is_refused(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "REFUSE")
    code, text = run("redrive")
    assert code == 1
    assert "was not sent and stays in the dead-letter queue: InvalidMessageContents" in " ".join(text.split())


def test_a_redrive_that_fails_reports_how_many_events_it_sent(target: Target, queues: FakeSQS) -> None:
    for number in range(15):
        queues.add(DEAD, f"event-{number}")
    sent = 0

    def before(request: str) -> None:
        nonlocal sent
        sent += request == "send"
        if request == "send" and sent == 2:
            raise client_error("ServiceUnavailable")

    queues.before = before
    code, text = run("redrive")
    assert code == 1
    assert "10 events were sent back" in text
    queues.before = lambda _: None
    assert run("redrive")[0] == 0
    assert len(queues.bodies(BUFFER)) == 15


def test_an_interrupted_redrive_says_how_to_continue(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "event")
    queues.before = failing("send", KeyboardInterrupt)
    code, text = run("redrive")
    assert code == EXIT_INTERRUPTED
    assert "To continue, run the same command again" in " ".join(text.split())
    assert queues.visible(DEAD)


def test_the_commands_are_registered() -> None:
    group = typer.main.get_group(commands.app)
    assert set(group.commands) == {"list", "show", "redrive"}
