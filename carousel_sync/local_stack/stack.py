"""The embedded stack as one thing: up, status, down."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from carousel_sync.aws.target import Target, target_of
from carousel_sync.local_stack import deployment, emulator, state
from carousel_sync.local_stack.state import StackState
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.table.apply import apply_to
from lambda_fn.errors import ConfigurationError, TableMissing

_PORT_ATTEMPTS: Final = 3


class DeliveryMode(StrEnum):
    """The template's parameter of that name."""

    QUEUE = "queue"
    DIRECT = "direct"


class UpOutcome(StrEnum):
    """What ``up`` found to do."""

    STARTED = "started"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class StackStatus:
    """How the stack stands. Everything but ``up`` is None when it is down, or when that part is not there."""

    up: bool
    endpoint: str | None = None
    pid: int | None = None
    stage: str | None = None
    delivery_mode: str | None = None
    stack_status: str | None = None
    queue_waiting: int | None = None
    queue_in_flight: int | None = None
    dead_letters: int | None = None
    table: str | None = None
    table_rows: int | None = None


class LocalStack:
    """An emulator with template.yaml deployed on it, whose state lives in a folder.

    Two folders are two stacks. As a context manager it is brought down at the end, whatever happened; entering it does
    not bring it up. ``enforce_rights`` has an emulator that it starts check IAM policies.
    """

    def __init__(self, state_dir: Path | None = None, stage: str = "dev", *, enforce_rights: bool = False) -> None:
        self.directory = state.state_directory(state_dir)
        self._enforce_rights = enforce_rights
        self.stage = stage

    def up(
        self, delivery_mode: DeliveryMode | str | None = None, port: int | None = None, root: Path = PROJECT_ROOT
    ) -> UpOutcome:
        """Start the emulator if it is down, deploy what has changed, and create the Iceberg table.

        ``delivery_mode`` left out keeps what is deployed, or means queue. Raises ConfigurationError; an emulator that
        does not start is stopped, one whose deployment fails keeps running.
        """
        emulator.require_installed()
        with self._locked():
            running = self._running()
            outcome = UpOutcome.UNCHANGED
            if running is None:
                running, outcome = self._start(port), UpOutcome.STARTED
            elif port not in (None, running.port):
                raise ConfigurationError(
                    f"The stack is up on port {running.port} already. Nothing was changed. To move it: carousel-sync "
                    f"local down, then carousel-sync local up --port {port}"
                )
            elif running.stage != self.stage:
                raise ConfigurationError(
                    f"The stack is up with stage {running.stage!r} already. Nothing was changed. To start the "
                    f"other: carousel-sync local down, then carousel-sync local up --stage {self.stage}"
                )
            mode = DeliveryMode(delivery_mode or running.delivery_mode)
            # The emulator has no schema registry.
            parameters = {"Stage": self.stage, "DeliveryMode": mode.value, "SchemaRegistry": "false"}
            wanted = deployment.prepare(root, parameters)
            if running.deployed_digest != wanted.digest:
                target = target_of(running)
                deployment.deploy(target, wanted)
                apply_to(target)
                state.save(self.directory, replace(running, delivery_mode=mode.value, deployed_digest=wanted.digest))
                outcome = outcome if outcome is UpOutcome.STARTED else UpOutcome.UPDATED
            return outcome

    def down(self) -> bool:
        """Stop every process of the stack and forget its data. Returns whether there was anything to stop."""
        with self._locked():
            known = state.load(self.directory)
            if known is None:
                return False
            emulator.stop(known.pid)
            emulator.remove_data(self.directory)
            state.remove(self.directory)
            return True

    def target(self) -> Target:
        """Return the stack as a target for commands. Raises ConfigurationError when it is not up."""
        running = self._running()
        if running is None:
            raise ConfigurationError(
                f"The embedded stack is not up (looked in {self.directory}). Start it: carousel-sync local up"
            )
        return target_of(running)

    def status(self) -> StackStatus:
        """Look at the stack. A part that is not there is None, not an error."""
        running = self._running()
        if running is None:
            return StackStatus(up=False)
        target = target_of(running)
        description = deployment.describe(target)
        outputs = deployment.outputs(description) if description else {}
        buffer = _queue(target, outputs.get("BufferQueueUrl"))
        dead = _queue(target, outputs.get("DeadLetterQueueUrl"))
        return StackStatus(
            up=True,
            endpoint=running.endpoint_url,
            pid=running.pid,
            stage=running.stage,
            delivery_mode=outputs.get("DeliveryMode"),
            stack_status=description["StackStatus"] if description else None,
            queue_waiting=_depth(buffer, "ApproximateNumberOfMessages"),
            queue_in_flight=_depth(buffer, "ApproximateNumberOfMessagesNotVisible"),
            dead_letters=_depth(dead, "ApproximateNumberOfMessages"),
            table=outputs.get("IcebergTable"),
            table_rows=_rows(target) if outputs else None,
        )

    def __enter__(self) -> LocalStack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _running(self) -> StackState | None:
        known = state.load(self.directory)
        if known is None or not emulator.is_emulator(known.pid) or not emulator.answers(known.port, known.token):
            return None
        return known

    def _start(self, port: int | None) -> StackState:
        stale = state.load(self.directory)
        if stale is not None:
            emulator.stop(stale.pid)
            state.remove(self.directory)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                return self._start_once(emulator.choose_port(port))
            except emulator.PortTaken as taken:
                if attempt == _PORT_ATTEMPTS:
                    raise ConfigurationError(
                        f"No port could be had in {attempt} attempts (the last was {taken}). Nothing is left running. "
                        "Name a free one: carousel-sync local up --port NUMBER"
                    ) from taken
        raise AssertionError("unreachable")

    def _start_once(self, port: int) -> StackState:
        token = f"carousel-{secrets.token_hex(8)}"
        pid = emulator.start(self.directory, port, token, enforce_rights=self._enforce_rights)
        started = StackState(pid=pid, port=port, token=token, stage=self.stage)
        # Saved before it answers: whatever interrupts the wait, down finds the process.
        state.save(self.directory, started)
        try:
            emulator.wait_until_healthy(self.directory, pid, port, token)
        except BaseException:
            emulator.stop(pid)
            state.remove(self.directory)
            raise
        return started

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the stack; a second one waits."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _queue(target: Target, url: str | None) -> dict[str, Any]:
    if url is None:
        return {}
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes: dict[str, Any] = target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return dict(attributes.get("Attributes", {}))


def _depth(attributes: dict[str, Any], name: str) -> int | None:
    return int(attributes[name]) if name in attributes else None


def _rows(target: Target) -> int | None:
    try:
        snapshot = target.load_table().current_snapshot()
    except TableMissing:
        return None
    if snapshot is None or snapshot.summary is None:
        return 0
    return int(snapshot.summary["total-records"] or 0)
