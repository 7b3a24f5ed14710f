"""The runbook has a section for each alarm, reason and cause, and its commands work on the embedded stack."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import tempfile
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
LETTER_REASONS = [letters.GAVE_UP, letters.NOT_DELIVERED, letters.FUNCTION_FAILED, letters.NO_REASON]
QUESTIONS = [
    "Event not processed",
    "High duplicate rate",
    "Throttling",
    "Stuck leader",
    "Commit queue grows",
    "Switch group commit off",
]
SECTIONS = [
    *ALARMS,
    *(reason.value for reason in Reason),
    *LETTER_REASONS,
    *(cause.name for cause in GiveUp),
    *QUESTIONS,
]
DRAIN_SECONDS = 60.0
PLACEHOLDER = re.compile(r"(?<= )(MESSAGE_ID|UUID|VERSION|event\.json)(?= |$)")
SAMPLE = PROJECT_ROOT / "examples" / "carousel-sold-event.json"

# Commands of the page that can't be run without the AWS CLI.
ONLY_IN_THE_AWS_CLI = ("aws logs tail",)


def sections() -> dict[str, str]:
    """Return the text of each section by its heading. The text before the first heading has the key ''."""
    parts = re.split(r"^#{1,2} (.+)$", PAGE, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


# --- the sections ----------------------------------------------------------------------------------------------------


def test_alarms_and_reasons_are_found() -> None:
    assert len(ALARMS) == len(ANCHORS) >= 10
    assert len(set(SECTIONS)) == len(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_section_has_means_look_do_and_dont(name: str) -> None:
    found = re.findall(r"^\*\*(Means|Look|Do|Don't)\.\*\*(?= \S|\n)", sections()[name], re.MULTILINE)
    assert found == ["Means", "Look", "Do", "Don't"]


@pytest.mark.parametrize("name", ALARMS)
def test_alarm_section_also_says_what_is_at_risk_and_when_it_is_resolved(name: str) -> None:
    paragraphs = re.findall(r"^\*\*([^*]+)\.\*\*(?= \S|\n)", sections()[name], re.MULTILINE)
    assert paragraphs == ["Means", "At risk", "Look", "Do", "Resolved", "Don't"]


@pytest.mark.parametrize("cause", list(GiveUp))
def test_cause_section_quotes_the_text_in_the_log(cause: GiveUp) -> None:
    assert f"*{cause.value}*" in sections()[cause.name]


def test_other_causes_quote_texts_in_the_code() -> None:
    code = "".join(path.read_text() for path in sorted((PROJECT_ROOT / "lambda_fn").rglob("*.py")))
    # Join the parts of a string that the source splits over several lines.
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    causes = re.findall(r"^\| `([^`]+)` \|", sections()["Other causes"], re.MULTILINE)
    assert len(causes) >= 6
    assert [cause for cause in causes if not all(part.strip() in code for part in cause.split("..."))] == []


def test_links_and_alarm_descriptions_lead_to_sections() -> None:
    slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in sections() if heading}
    targets = slugs | set(re.findall(r'<a id="([\w-]+)"></a>', PAGE))
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", PAGE) if link not in targets} == set()
    assert [anchor for anchor in ANCHORS if anchor not in targets] == []


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A separate stack whose function has processed a sale, a duplicate and an invalid event."""
    with LocalStack(tmp_path_factory.mktemp("stack-runbook")) as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_DIR_VARIABLE, str(stack.directory))
        stack.up()
        found = stack.target()
        send(found, SAMPLE.read_text())
        send(found, SAMPLE.read_text())
        send(found, body(salePrice=-1))
        yield found


def send(target: Target, text: str) -> None:
    url = buffer_queue.buffer_queue_url(target)
    target.client("sqs").send_message(QueueUrl=url, MessageBody=text)
    assert buffer_queue.wait_until_empty(target, url, DRAIN_SECONDS)


def placeholder(target: Target, name: str) -> str:
    """Return the value for a word in capitals, as the command before it on the page prints it, or the file to send."""
    if name == "event.json":
        return str(SAMPLE)
    if name == "UUID":
        mappings = target.client("lambda").list_event_source_mappings()
        return str(mappings["EventSourceMappings"][0]["UUID"])
    if name == "VERSION":
        alias = {"FunctionName": function_name(target.stage), "Name": FUNCTION_ALIAS}
        return str(target.client("lambda").get_alias(**alias)["FunctionVersion"])
    # An earlier command may have sent the letter back; the function rejects it again.
    assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), DRAIN_SECONDS)
    with scanning(target) as scan:
        letters = [letter.message_id for batch in scan.batches() for letter in batch]
    return letters[0]


def run_command(target: Target, command: str) -> Any:
    """Run a command and return what it prints. Raises AssertionError if it fails."""
    filled = PLACEHOLDER.sub(lambda match: placeholder(target, match[1]), command)
    if filled.startswith("aws "):
        return run_aws(target, filled)
    program, *arguments = shlex.split(filled)
    assert program == "carousel-sync", command
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        done = CliRunner().invoke(app, [*arguments, "--local"], input="yes\n")
    # doctor warns about the dead letter.
    assert done.exit_code in ((0, 1) if arguments[0] == "doctor" else (0,)), f"{command}: {done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), command
    if "discard" in arguments:
        # The other sections need a letter, too.
        send(target, body(salePrice=-1))
    return done.stdout


@pytest.mark.parametrize("heading", [heading for heading, text in sections().items() if commands_of(text)])
def test_commands_of_a_section_work(target: Target, heading: str) -> None:
    for command in commands_of(sections()[heading]):
        if not command.startswith(ONLY_IN_THE_AWS_CLI):
            run_command(target, command)


@pytest.mark.parametrize("prefix", ONLY_IN_THE_AWS_CLI)
def test_excluded_command_is_in_the_page_and_has_no_api_operation(target: Target, prefix: str) -> None:
    commands = [command for command in commands_of(PAGE) if command.startswith(prefix)]
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
def test_filter_patterns_of_the_page_find_log_lines(target: Target, pattern: str, key: str) -> None:
    (command, *_) = [line for line in commands_of(PAGE) if f"--filter-pattern '\"{pattern}\"'" in line]
    lines = [json.loads(event["message"]) for event in run_command(target, command)["events"]]
    assert [line for line in lines if key in line]


def test_command_with_a_mistake_fails(target: Target) -> None:
    for wrong in (
        "carousel-sync dlq list --stage dev --raisin INVALID_FIELD",
        "carousel-sync dlq show NOT_A_PLACEHOLDER --stage dev",
        "carousel-sync query --stage dev 'SELECT no_such_column FROM sales_history'",
        "aws sqs get-queue-attributes --queue-name carousel-sync-dev",
    ):
        with pytest.raises(AssertionError):
            run_command(target, wrong)
