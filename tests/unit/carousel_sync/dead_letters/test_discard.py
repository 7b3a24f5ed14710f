"""``carousel-sync dlq discard`` with queues in memory: a letter is deleted only after its copy is on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carousel_sync.aws.target import Target
from carousel_sync.command_line.console import EXIT_DECLINED
from carousel_sync.dead_letters import commands
from tests.builders import body
from tests.fakes.sqs import FakeSQS
from tests.unit.carousel_sync.dead_letters.conftest import DEAD, failing, run


def copies(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_discard_deletes_the_letters_with_a_reason_and_keeps_copies(
    target: Target, queues: FakeSQS, tmp_path: Path
) -> None:
    bodies = [body(saleId=f"sale-{number}", description="\ud800") for number in range(23)]
    for text in bodies:
        queues.add(DEAD, text, reason="INVALID_FIELD", detail="why")
    other = queues.add(DEAD, "other", reason="NOT_A_SALE")
    code, text = run("discard", "--reason", "invalid_field", "--yes", "--keep", str(tmp_path / "kept.jsonl"))
    assert code == 0
    assert "Deleted: INVALID_FIELD 23" in text
    assert queues.visible(DEAD) == [other]
    kept = copies(tmp_path / "kept.jsonl")
    assert [each["body"] for each in kept] == bodies
    assert {(each["reason"], each["detail"]) for each in kept} == {("INVALID_FIELD", "why")}


def test_discard_deletes_the_letters_with_ids(target: Target, queues: FakeSQS, tmp_path: Path) -> None:
    ids = [queues.add(DEAD, str(number), reason="INVALID_FIELD") for number in range(25)]
    code, text = run("discard", ids[3], "nobody", ids[17], "--yes", "--keep", str(tmp_path / "k"), "--json")
    document = json.loads(text[: text.rindex("}") + 1])
    assert (code, document["unknown"], document["deleted"]) == (1, ["nobody"], {"INVALID_FIELD": 2})
    assert queues.visible(DEAD) == [each for each in ids if each not in (ids[3], ids[17])]
    assert [each["id"] for each in copies(tmp_path / "k")] == [ids[3], ids[17]]


@pytest.mark.parametrize(("answer", "code"), [("no\n", EXIT_DECLINED), ("\n", EXIT_DECLINED), ("yes\n", 0)])
def test_discard_asks(
    target: Target, queues: FakeSQS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    given = queues.add(DEAD, "event", reason="INVALID_FIELD")
    done = CliRunner().invoke(commands.app, ["discard", given], input=answer)
    assert done.exit_code == code
    assert "To be deleted for good: INVALID_FIELD 1" in done.output
    assert queues.visible(DEAD) == ([] if code == 0 else [given])
    assert [path.name.startswith("dead-letters-test-") for path in tmp_path.iterdir()] == ([True] if code == 0 else [])


def test_a_letter_that_arrives_after_the_question_stays(target: Target, queues: FakeSQS, tmp_path: Path) -> None:
    queues.add(DEAD, "first", reason="INVALID_FIELD")

    def arrives(request: str) -> None:
        if request == "change":
            queues.before = lambda _: None
            queues.add(DEAD, "second", reason="INVALID_FIELD")

    queues.before = arrives
    assert run("discard", "--reason", "INVALID_FIELD", "--yes", "--keep", str(tmp_path / "kept"))[0] == 0
    assert queues.bodies(DEAD) == ["second"]


def test_nothing_is_deleted_without_a_copy(
    target: Target, queues: FakeSQS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [queues.add(DEAD, "event", reason="INVALID_FIELD") for _ in range(3)]
    order: list[str] = []
    queues.before = order.append

    def full(_: int) -> None:
        order.append("fsync")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, text = run("discard", "--reason", "INVALID_FIELD", "--yes", "--keep", str(tmp_path / "kept"))
    assert code == 1
    assert "No space left on device" in text
    assert queues.visible(DEAD) == ids
    assert "fsync" in order
    assert "delete" not in order


@pytest.mark.parametrize("name", ["exists", "folder/kept", "."])
def test_the_file_is_checked_before_the_queue_is_read(
    target: Target, queues: FakeSQS, tmp_path: Path, name: str
) -> None:
    (tmp_path / "exists").touch()
    queues.add(DEAD, "event", reason="INVALID_FIELD")
    queues.before = failing("receive")
    code, text = run("discard", "--reason", "INVALID_FIELD", "--yes", "--keep", str(tmp_path / name))
    assert code == 1
    assert "can't be written" in text
    assert queues.bodies(DEAD) == ["event"]


def test_a_letter_that_cannot_be_deleted_is_named(target: Target, queues: FakeSQS, tmp_path: Path) -> None:
    given = queues.add(DEAD, "event", reason="INVALID_FIELD")
    queues.before = failing("delete")
    code, text = run("discard", given, "--yes", "--keep", str(tmp_path / "kept"))
    assert code == 1
    assert f"{given} could not be deleted, and is still in the queue" in " ".join(text.split())
    assert queues.visible(DEAD) == [given]


def test_an_interruption_says_where_the_copies_are(target: Target, queues: FakeSQS, tmp_path: Path) -> None:
    for number in range(15):
        queues.add(DEAD, str(number), reason="INVALID_FIELD")
    deletions = iter([None, KeyboardInterrupt()])

    def before(request: str) -> None:
        if request == "delete" and (error := next(deletions)):
            raise error

    queues.before = before
    code, text = run("discard", "--reason", "INVALID_FIELD", "--yes", "--keep", str(tmp_path / "kept"))
    assert code == 130
    assert "10 letters were deleted" in text
    kept = {each["body"] for each in copies(tmp_path / "kept")}
    assert kept | set(queues.bodies(DEAD)) == {str(number) for number in range(15)}


@pytest.mark.parametrize("arguments", [[], ["message-1", "--reason", "INVALID_FIELD"]])
def test_discard_takes_ids_or_reasons(target: Target, queues: FakeSQS, arguments: list[str]) -> None:
    queues.add(DEAD, "event", reason="INVALID_FIELD")
    assert run("discard", *arguments, "--yes")[0] == 2
    assert queues.bodies(DEAD) == ["event"]
