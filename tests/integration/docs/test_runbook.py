"""The runbook: a section for everything that it has to explain, and commands that work on the embedded stack."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import FUNCTION_ALIAS, Target, function_name
from carousel_sync.cli import app
from carousel_sync.dead_letters import letters
from carousel_sync.dead_letters.queue import scanning
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.ports import GiveUp, Reason
from tests.aws_cli import commands_of, run_aws
from tests.builders import body

PAGE = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
TEMPLATE = (PROJECT_ROOT / "template.yaml").read_text()
ALARMS = re.findall(r"^  (\w+):\n    Type: AWS::CloudWatch::Alarm$", TEMPLATE, re.MULTILINE)
ANCHORS = re.findall(r"Runbook: docs/runbook.md#([\w-]+)", TEMPLATE)
OF_LETTERS = [letters.GAVE_UP, letters.NOT_DELIVERED, letters.FUNCTION_FAILED, letters.NO_REASON]
QUESTIONS = ["Event not processed", "High duplicate rate", "Throttling"]
SECTIONS = [*ALARMS, *(reason.value for reason in Reason), *OF_LETTERS, *(cause.name for cause in GiveUp), *QUESTIONS]
DRAIN_SECONDS = 60.0
PLACEHOLDER = re.compile(r"(?<= )(MESSAGE_ID|UUID|VERSION)(?= |$)")

# Commands that can't be carried out here, and why. They have to be in the page.
NOT_HERE = {
    "aws logs tail": "a command of the AWS CLI's own, without an operation of the service behind it",
}


def sections() -> dict[str, str]:
    """Return the page's sections by their heading; what is before the first one is called ''."""
    parts = re.split(r"^#{1,2} (.+)$", PAGE, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


# --- what it explains ------------------------------------------------------------------------------------------------


def test_the_alarms_and_reasons_are_found() -> None:
    assert len(ALARMS) == len(ANCHORS) >= 10
    assert len(set(SECTIONS)) == len(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_says_what_it_means_how_to_look_what_to_do_and_what_not(name: str) -> None:
    found = re.findall(r"^\*\*(Means|Look|Do|Don't)\.\*\*(?= \S|\n)", sections()[name], re.MULTILINE)
    assert found == ["Means", "Look", "Do", "Don't"]


@pytest.mark.parametrize("cause", list(GiveUp))
def test_a_cause_is_found_by_the_words_of_the_log(cause: GiveUp) -> None:
    assert f"*{cause.value}*" in sections()[cause.name]


def test_the_other_causes_are_the_words_of_the_code() -> None:
    code = "".join(path.read_text() for path in sorted((PROJECT_ROOT / "lambda_fn").rglob("*.py")))
    # A text that goes over several lines of the source is one text.
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    causes = re.findall(r"^\| `([^`]+)` \|", sections()["Other causes"], re.MULTILINE)
    assert len(causes) >= 6
    assert [cause for cause in causes if not all(part.strip() in code for part in cause.split("..."))] == []


def test_every_link_leads_to_a_section() -> None:
    slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in sections() if heading}
    targets = slugs | set(re.findall(r'<a id="([\w-]+)"></a>', PAGE))
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", PAGE) if link not in targets} == set()
    # The alarms' descriptions lead here, too.
    assert [anchor for anchor in ANCHORS if anchor not in targets] == []


# --- what it has people type -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A stack of its own with a sale, a duplicate and a rejected event, all of them processed by the function."""
    with LocalStack(tmp_path_factory.mktemp("stack-runbook")) as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_DIR_VARIABLE, str(stack.directory))
        stack.up()
        found = stack.target()
        send(found, (PROJECT_ROOT / "examples" / "carousel-sold-event.json").read_text())
        send(found, (PROJECT_ROOT / "examples" / "carousel-sold-event.json").read_text())
        send(found, body(salePrice=-1))
        yield found


def send(target: Target, text: str) -> None:
    url = buffer_queue.buffer_queue_url(target)
    target.client("sqs").send_message(QueueUrl=url, MessageBody=text)
    assert buffer_queue.wait_until_empty(target, url, DRAIN_SECONDS)


def placeholder(target: Target, name: str) -> str:
    """Return what stands for one of the page's words in capitals, as the command before it tells it."""
    if name == "UUID":
        mappings = target.client("lambda").list_event_source_mappings()
        return str(mappings["EventSourceMappings"][0]["UUID"])
    if name == "VERSION":
        alias = {"FunctionName": function_name(target.stage), "Name": FUNCTION_ALIAS}
        return str(target.client("lambda").get_alias(**alias)["FunctionVersion"])
    # What an earlier command has sent back is rejected again, and is a letter again.
    assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), DRAIN_SECONDS)
    with scanning(target) as scan:
        letters = [letter.message_id for batch in scan.batches() for letter in batch]
    return letters[0]


def carry_out(target: Target, command: str) -> Any:
    """Carry a command out and return what it prints; AssertionError when it fails."""
    filled = PLACEHOLDER.sub(lambda match: placeholder(target, match[1]), command)
    if filled.startswith("aws "):
        return run_aws(target, filled)
    program, *arguments = shlex.split(filled)
    assert program == "carousel-sync", command
    done = CliRunner().invoke(app, [*arguments, "--local"])
    # A letter that waits is a warning of the doctor's.
    assert done.exit_code in ((0, 1) if arguments[0] == "doctor" else (0,)), f"{command}: {done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), command
    return done.stdout


def is_known_not_to_work_here(command: str) -> bool:
    return any(command.startswith(known) for known in NOT_HERE)


@pytest.mark.parametrize("heading", [heading for heading, text in sections().items() if commands_of(text)])
def test_the_commands_of_a_section_work(target: Target, heading: str) -> None:
    for command in commands_of(sections()[heading]):
        if not is_known_not_to_work_here(command):
            carry_out(target, command)


@pytest.mark.parametrize("known", NOT_HERE)
def test_what_does_not_work_here_is_in_the_page_and_really_does_not(target: Target, known: str) -> None:
    commands = [command for command in commands_of(PAGE) if command.startswith(known)]
    assert commands
    with pytest.raises(AssertionError, match="no operation"):
        run_aws(target, commands[0])


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("Duplicate event detected", "delivery_ids"),
        ("Event rejected", "reason"),
        ("S3 Tables write successful", "milliseconds"),
        ("SALE-1767052800000-8d874118", "sale_ids"),
    ],
)
def test_the_log_is_found_by_the_words_of_the_page(target: Target, pattern: str, key: str) -> None:
    (command, *_) = [one for one in commands_of(PAGE) if f"--filter-pattern '\"{pattern}\"'" in one]
    lines = [json.loads(event["message"]) for event in carry_out(target, command)["events"]]
    assert [line for line in lines if key in line]


def test_a_command_with_a_mistake_in_it_is_noticed(target: Target) -> None:
    for wrong in (
        "carousel-sync dlq list --stage dev --raisin INVALID_FIELD",
        "carousel-sync dlq show NOT_A_PLACEHOLDER --stage dev",
        "carousel-sync query --stage dev 'SELECT no_such_column FROM sales_history'",
        "aws sqs get-queue-attributes --queue-name carousel-sync-dev",
    ):
        with pytest.raises(AssertionError):
            carry_out(target, wrong)
