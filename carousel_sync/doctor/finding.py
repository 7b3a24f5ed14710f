"""What a check finds: how bad it is, what was looked at, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from carousel_sync.doctor.stage import Stage


class Status(StrEnum):
    """How a check ended. What could not be looked at is never ok."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    FAILURE = "failure"


_EXIT_CODES: Final = {Status.OK: 0, Status.NOT_CHECKED: 1, Status.WARNING: 1, Status.FAILURE: 2}


@dataclass(frozen=True)
class Finding:
    """The end of one check. ``remedy`` is empty when there is nothing to do; ``{stage}`` in it is the stage's name."""

    status: Status
    seen: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One line of the report. ``look`` may raise what Stage's clients raise: :mod:`.run` reads it."""

    name: str
    look: Callable[[Stage], Finding]
    if_missing: str


def ok(seen: str) -> Finding:
    """Return that all is as it should be."""
    return Finding(Status.OK, seen)


def judged(seen: str, faults: Iterable[tuple[str, str]], status: Status = Status.FAILURE) -> Finding:
    """Return ok when there is no fault, else all of them; a fault is what is wrong, and what to do."""
    found = list(faults)
    if not found:
        return ok(seen)
    remedies = dict.fromkeys(remedy for _, remedy in found)
    return Finding(status, "; ".join(fault for fault, _ in found), " ".join(remedies))


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 when all is ok, 1 for a warning or what could not be checked, 2 for a failure: the worst counts."""
    return max((_EXIT_CODES[finding.status] for finding in findings), default=0)
