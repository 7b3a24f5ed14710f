"""A simulated process: real code in a greenlet that proceeds only when the scheduler lets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from greenlet import getcurrent, greenlet


class Crashed(BaseException):
    """Raised in a process that has died. Nothing that it still does has an effect."""


class TimedOut(Exception):
    """No response came in time. Whether the request took effect is unknown."""


class Fault(Enum):
    """What can happen to a request instead of being answered."""

    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    NEVER_SENT = auto()
    ANSWER_LOST = auto()
    LATE = auto()
    LATE_AND_CRASH = auto()
    HALF_DONE = auto()
    HALF_DONE_AND_CRASH = auto()


ON_READS = (Fault.CRASH_BEFORE, Fault.NEVER_SENT)
ON_WRITES = (
    Fault.CRASH_BEFORE,
    Fault.CRASH_AFTER,
    Fault.NEVER_SENT,
    Fault.ANSWER_LOST,
    Fault.LATE,
    Fault.LATE_AND_CRASH,
)
ON_BATCHES = (*ON_WRITES, Fault.HALF_DONE, Fault.HALF_DONE_AND_CRASH)

CRASHING = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LATE_AND_CRASH, Fault.HALF_DONE_AND_CRASH})


@dataclass(frozen=True)
class Request:
    """A request that a process is about to send. Its parts take effect one by one; a batch has several."""

    text: str
    parts: Sequence[Callable[[], Any]]
    combine: Callable[[list[Any]], Any]
    is_read: bool

    @property
    def faults(self) -> Sequence[Fault]:
        """The faults that can happen to this request."""
        if self.is_read:
            return ON_READS
        return ON_BATCHES if len(self.parts) > 1 else ON_WRITES

    def take_effect(self) -> Any:
        """Apply all parts to the world, and return the response."""
        return self.combine([part() for part in self.parts])


class Process:
    """Runs ``body`` in a greenlet, one request at a time."""

    def __init__(self, name: str, body: Callable[[Process], None]) -> None:
        self.name = name
        self.pending: Request | None = None
        self.alive = True
        self.history = 0
        """A digest of all responses that the process received, which determine its state."""
        self.error: BaseException | None = None
        self._body = body
        self._scheduler = getcurrent()
        self._greenlet = greenlet(self._run)

    def start(self) -> None:
        """Run to the first request."""
        self._greenlet.switch()

    def resume(self, respond: Callable[[], Any], digest: object) -> None:
        """Respond to the pending request, and run to the next one."""
        self.history = hash((self.history, self.pending.text if self.pending else "", digest))
        self.pending = None
        self._greenlet.switch(respond)

    def kill(self) -> None:
        """Make the process die at its pending request."""
        if self.alive:
            self.resume(_crash, "crash")

    def request(self, request: Request) -> Any:
        """Send a request. The process calls this."""
        if not self.alive:
            raise Crashed
        self.pending = request
        return self._scheduler.switch()()

    def _run(self) -> None:
        try:
            self._body(self)
        except Crashed:
            pass
        except BaseException as error:
            self.error = error
        self.alive = False


def _crash() -> Any:
    raise Crashed


def time_out() -> Any:
    """Respond to a request with a time-out."""
    raise TimedOut


def only(responses: list[Any]) -> Any:
    """Return the response to a request of one part."""
    return responses[0]
