"""The embedded stack: starting it, its status, and stopping it."""

from __future__ import annotations

import fcntl
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from carousel_sync.aws import cloudformation
from carousel_sync.aws.buffer_queue import depth
from carousel_sync.aws.target import Target
from carousel_sync.local_stack import deployment, emulator, state
from carousel_sync.local_stack.state import StackState
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.table.apply import apply_to
from lambda_fn.errors import ConfigurationError, TableMissing

_PORT_ATTEMPTS: Final = 3


class DeliveryMode(StrEnum):
    """The values of the template's parameter DeliveryMode."""

    QUEUE = "queue"
    DIRECT = "direct"


class UpOutcome(StrEnum):
    """What ``up`` did."""

    STARTED = "started"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class StackStatus:
    """The status of the stack. Everything but ``up`` is None when the stack, or that part of it, does not exist."""

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
    """An emulator with template.yaml deployed to it. Each state folder has a stack of its own.

    As a context manager it stops the stack at the end; entering it does not start the stack. ``enforce_rights`` makes
    an emulator that it starts check IAM policies.
    """

    def __init__(self, state_dir: Path | None = None, stage: str = "dev", *, enforce_rights: bool = False) -> None:
        self.directory = state.state_directory(state_dir)
        self.stage = stage
        self._enforce_rights = enforce_rights
        self._flags = f" --state-dir {shlex.quote(str(state_dir))}" if state_dir else ""

    def up(
        self, delivery_mode: DeliveryMode | str | None = None, port: int | None = None, root: Path = PROJECT_ROOT
    ) -> UpOutcome:
        """Start the emulator unless it is running, deploy template and code if they changed, and create the table.

        ``delivery_mode`` defaults to the deployed one, and to queue for a new stack. Raises ConfigurationError. An
        emulator that does not start is stopped; one whose deployment fails keeps running. After KeyboardInterrupt, an
        emulator that this call started is stopped, and its data is deleted.
        """
        emulator.require_installed()
        with self._locked():
            running = self._running()
            outcome = UpOutcome.UNCHANGED
            if running is None:
                running, outcome = self._start(port), UpOutcome.STARTED
            elif port not in (None, running.port):
                raise self._already_running(f"on port {running.port}", f" --port {port}")
            elif running.stage != self.stage:
                raise self._already_running(f"with stage {running.stage!r}")
            mode = DeliveryMode(delivery_mode or running.delivery_mode)
            # The emulator has no schema registry, and its CloudFormation ignores reserved concurrency.
            left_out = {"SchemaRegistry": "false", "ReservedConcurrency": "0"}
            parameters = {"Stage": self.stage, "DeliveryMode": mode.value, **left_out}
            wanted = deployment.prepare(root, parameters)
            if running.deployed_digest != wanted.digest:
                try:
                    self._deploy(running.target(), wanted)
                except KeyboardInterrupt:
                    if outcome is UpOutcome.STARTED:
                        self._remove(running)
                    raise
                state.save(self.directory, replace(running, delivery_mode=mode.value, deployed_digest=wanted.digest))
                outcome = outcome if outcome is UpOutcome.STARTED else UpOutcome.UPDATED
            return outcome

    def down(self) -> bool:
        """Stop every process of the stack and delete its data. Returns whether there was a stack."""
        with self._locked():
            known = state.load(self.directory)
            if known is None:
                return False
            self._remove(known)
            return True

    def _remove(self, known: StackState) -> None:
        emulator.stop(known.pid)
        emulator.remove_data(self.directory)
        state.remove(self.directory)

    def target(self) -> Target:
        """Return the stack as a target for commands. Raises ConfigurationError when it is not running."""
        running = self._running()
        if running is None:
            raise state.not_running(self.directory, self.start_command)
        return running.target()

    def status(self) -> StackStatus:
        """Return the status of the stack. A part that does not exist is None, not an error."""
        running = self._running()
        if running is None:
            return StackStatus(up=False)
        target = running.target()
        description = cloudformation.describe(target)
        outputs = cloudformation.outputs(description)
        status = StackStatus(
            up=True,
            endpoint=running.endpoint_url,
            pid=running.pid,
            stage=running.stage,
            stack_status=description["StackStatus"] if description else None,
        )
        if not outputs:
            return status
        buffer = depth(target, outputs["BufferQueueUrl"])
        return replace(
            status,
            delivery_mode=outputs["DeliveryMode"],
            queue_waiting=buffer.waiting,
            queue_in_flight=buffer.in_flight,
            dead_letters=depth(target, outputs["DeadLetterQueueUrl"]).waiting,
            table=outputs["IcebergTable"],
            table_rows=_rows(target),
        )

    def __enter__(self) -> LocalStack:
        return self

    def __exit__(self, *error: object) -> None:
        self.down()

    @property
    def start_command(self) -> str:
        """The command that starts this stack, for hints."""
        return f"carousel-sync local up{self._flags} --stage {self.stage}"

    def _already_running(self, how: str, port_flag: str = "") -> ConfigurationError:
        return ConfigurationError(
            f"The embedded stack is already running {how}. Nothing was changed. To replace it, which deletes its data: "
            f"carousel-sync local down{self._flags}, then {self.start_command}{port_flag}"
        )

    def _deploy(self, target: Target, wanted: deployment.Deployment) -> None:
        try:
            deployment.deploy(target, wanted)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{error}\nThe emulator keeps running. To see what it has: carousel-sync local status{self._flags}. To "
                f"start over: carousel-sync local down{self._flags}, then {self.start_command}"
            ) from error
        apply_to(target)

    def _running(self) -> StackState | None:
        known = state.load(self.directory)
        if known is None or not emulator.is_emulator(known.pid) or not emulator.is_healthy(known.port, known.token):
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
                failure = ConfigurationError(
                    f"The emulator found no free port in {attempt} attempts (the last one was {taken}). Nothing is "
                    f"running. Name a free port: {self.start_command} --port PORT"
                )
        raise failure

    def _start_once(self, port: int) -> StackState:
        token = f"carousel-{secrets.token_hex(8)}"
        pid = emulator.start(self.directory, port, token, enforce_rights=self._enforce_rights)
        started = StackState(pid=pid, port=port, token=token, stage=self.stage)
        # Saved before the wait, so that down finds the process even if the wait is interrupted.
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
        """Allow one command at a time to change the stack. Others wait."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / "lock").open("w")
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self.directory} can't hold the stack's state: {error.strerror}. Nothing was changed. "
                f"Choose another one: --state-dir FOLDER, or {state.STATE_DIR_VARIABLE} in the environment."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _rows(target: Target) -> int | None:
    try:
        snapshot = target.load_table().current_snapshot()
    except TableMissing:
        return None
    return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0
