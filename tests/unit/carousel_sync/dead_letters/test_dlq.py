"""The dead-letter commands with queues in memory: reading, sending back, and interruptions of both."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import typer

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import EXIT_INTERRUPTED
from carousel_sync.dead_letters import commands
from carousel_sync.dead_letters.formatting import pretty
from carousel_sync.dead_letters.queue import HIDDEN_SECONDS, scanning
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection
from lambda_fn.ports import Reason
from tests.builders import body
from tests.fakes.sqs import FakeSQS, client_error
from tests.unit.carousel_sync.dead_letters.conftest import BUFFER, DEAD, failing, run
from tests.unit.carousel_sync.dead_letters.test_letters import wrapped


def redriven(target: Target, *reasons: str, limit: int | None = None, dry_run: bool = False) -> Redriven:
    return Redrive(target, Selection(frozenset(reasons), limit, dry_run)).run()


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
    assert all(message.attributes.keys() == {"firstSeen"} for message in queues.queues[BUFFER])


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
    document = json.loads(run("redrive", "--reason", "NOT_A_SALE", "--json")[1])
    assert (document["sent"], document["refused"], document["not_deleted"]) == (1, {}, [])


@pytest.mark.parametrize("command", ["list", "redrive", "discard"])
def test_a_reason_that_nothing_has_is_a_usage_error(target: Target, queues: FakeSQS, command: str) -> None:
    queues.add(DEAD, "1", reason="OF_ANOTHER_VERSION")
    code, text = run(command, "--reason", "NOPE")
    assert code == 2
    assert "NOPE" in text
    assert "INVALID_FIELD" in text
    assert run("list", "--reason", "OF_ANOTHER_VERSION")[0] == 0
    assert run("list", "--reason", "GAVE_UP")[0] == 0
    assert queues.bodies(DEAD) == ["1"]


def test_redrive_by_default_sends_only_what_a_retry_can_store(target: Target, queues: FakeSQS) -> None:
    for reason in [*Reason, "OF_ANOTHER_VERSION"]:
        queues.add(DEAD, reason, reason=reason)
    queues.add(DEAD, "NO_REASON")
    queues.add(DEAD, "GAVE_UP", DeadLetterQueueSourceArn="arn")
    queues.add(DEAD, "NOT_DELIVERED", RULE_ARN="arn")
    queues.add(DEAD, wrapped('"FUNCTION_FAILED"'))
    code, text = run("redrive")
    assert code == 0
    assert queues.bodies(BUFFER) == ["GAVE_UP", "NOT_DELIVERED", '"FUNCTION_FAILED"']
    assert queues.bodies(DEAD) == [*Reason, "OF_ANOTHER_VERSION", "NO_REASON"]
    assert "INVALID_FIELD 1" in text
    assert "carousel-sync dlq redrive --reason CONFLICTING_DUPLICATE --stage test" in text
    assert run("redrive", "--reason", "CONFLICTING_DUPLICATE")[0] == 0
    assert queues.bodies(BUFFER)[-1] == "CONFLICTING_DUPLICATE"


def test_the_first_instant_stays_through_any_number_of_redrives(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, body(), reason="INVALID_FIELD", firstSeen="2026-01-01T00:00:00.000Z")
    queues.add(DEAD, body(), sent_at=1_767_225_600.5, RULE_ARN="arn")
    for _ in range(3):
        redriven(target)
        queues.now += 86_400
        queues.move(BUFFER, DEAD)
    with scanning(target) as scan:
        seen = [letter.first_seen for batch in scan.batches() for letter in batch]
    assert seen == ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.500Z"]


def test_an_event_that_fills_a_message_is_sent_without_its_first_instant(target: Target, queues: FakeSQS) -> None:
    text = "x" * 1_048_576
    queues.add(DEAD, text)
    assert redriven(target).sent.total() == 1
    assert queues.bodies(BUFFER) == [text]


def test_redrive_fails_when_a_letter_is_refused(target: Target, queues: FakeSQS) -> None:
    queues.add(DEAD, "REFUSE", DeadLetterQueueSourceArn="arn")
    code, text = run("redrive")
    assert code == 1
    assert "was not sent and stays in the dead-letter queue: InvalidMessageContents" in " ".join(text.split())


def test_a_redrive_that_fails_reports_how_many_events_it_sent(target: Target, queues: FakeSQS) -> None:
    for number in range(15):
        queues.add(DEAD, f"event-{number}", DeadLetterQueueSourceArn="arn")
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
    queues.add(DEAD, "event", DeadLetterQueueSourceArn="arn")
    queues.before = failing("send", KeyboardInterrupt)
    code, text = run("redrive")
    assert code == EXIT_INTERRUPTED
    assert "To continue, run the same command again" in " ".join(text.split())
    assert queues.visible(DEAD)


def test_the_commands_are_registered() -> None:
    group = typer.main.get_group(commands.app)
    assert set(group.commands) == {"list", "show", "redrive", "discard"}
