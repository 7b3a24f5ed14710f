"""What commands say while events are still on their way: ``simulate --wait``, and hints of the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from tests.e2e.test_cli import (
    EXAMPLE,
    SIMULATED_SALES,
    SIMULATION,
    UNTIL,
    Run,
    changed_item,
    drain,
    failed,
    run_in,
    succeeded,
)


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that no other test sends events to, so that its deliveries can be stopped."""
    with LocalStack(tmp_path_factory.mktemp("stack-waiting")) as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="module")
def filled(own_stack: LocalStack) -> LocalStack:
    """The stack with the sale of the example."""
    succeeded(run_in(own_stack.directory, "send", str(EXAMPLE), "--local"))
    drain(own_stack)
    return own_stack


@pytest.fixture
def run(filled: LocalStack) -> Run:
    return lambda *arguments: run_in(filled.directory, *arguments, "--local")


def test_simulate_says_what_is_missing_when_the_time_runs_out(run: Run, filled: LocalStack) -> None:
    """One count of an empty queue is never enough, so that no time at all always runs out."""
    message = failed(run(*SIMULATION, "--wait", "--timeout", "0"))
    assert f"of {SIMULATED_SALES} sales are stored" in message
    assert "carousel-sync doctor --stage dev --local" in message
    assert f"--seed 5 --until {UNTIL}" in message
    drain(filled)


def test_waiting_is_for_events_that_are_sent(tmp_path: Path) -> None:
    done = run_in(tmp_path, *SIMULATION, "--wait", "--out", str(tmp_path / "events.jsonl"))
    assert "--wait is for events that are sent" in failed(done, exit_code=2)
    assert not (tmp_path / "events.jsonl").exists()


def test_commands_that_find_nothing_say_that_events_are_in_the_queue(run: Run, filled: LocalStack) -> None:
    nothing = [
        ("sales", "--tenant", "nobody", "--json"),
        ("query", "SELECT sale_id FROM sales_history WHERE tenant_id = 'nobody'", "--json"),
    ]
    hint = "Events are still in the queue of stage dev: about 1 are waiting"
    assert not [command for command in nothing if hint in run(*command).stderr]
    target = filled.target()
    url = buffer_queue.buffer_queue_url(target)
    with deliveries_stopped(target):
        target.client("sqs").send_message(QueueUrl=url, MessageBody="not JSON")
        for command in nothing:
            done = run(*command)
            assert json.loads(succeeded(done)) == []
            assert hint in done.stderr
        with changed_item(filled) as (client, address):
            client.delete_item(**address)
            assert hint in failed(run("verify"))
        assert hint not in run("verify").stderr
        assert hint not in run("query", "SELECT sale_id FROM sales_history").stderr
    drain(filled)


@contextmanager
def deliveries_stopped(target: Target) -> Iterator[None]:
    """Keep the messages of the buffer queue in the queue."""
    client = target.client("lambda")
    (mapping,) = client.list_event_source_mappings()["EventSourceMappings"]
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
