"""Checks and their findings: a status, what was seen, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from carousel_sync.command_line.console import EXIT_NOT_CHECKED
from carousel_sync.doctor.stage import Stage

DEPLOY_AGAIN: Final = "Deploy again: make deploy STAGE={stage} (docs/deployment.md)."
"""In every remedy, ``{stage}`` stands for the stage's name and ``{options}`` for a command's options to reach it."""


class Status(StrEnum):
    """The result of a check. A check that could not be carried out is never OK."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    FAILURE = "failure"


# From the best to the worst.
_EXIT_CODES: Final = {Status.OK: 0, Status.WARNING: 1, Status.NOT_CHECKED: EXIT_NOT_CHECKED, Status.FAILURE: 2}
_SEVERITIES: Final = {status: severity for severity, status in enumerate(_EXIT_CODES)}


class Fault(NamedTuple):
    """One thing that is wrong, and what to do about it."""

    problem: str
    remedy: str = DEPLOY_AGAIN
    status: Status = Status.FAILURE
    before_deployment: bool = False
    """Whether it was so before the last deployment, which therefore did not cause it."""


Result = Iterable[Fault | str]
"""The faults that a check finds, and a text that describes what it saw if there are none."""


@dataclass(frozen=True)
class Finding:
    """The result of one check. ``remedy`` is empty if there is nothing to do.

    ``before_deployment``: the last deployment caused none of its faults.
    """

    status: Status
    seen: str
    remedy: str = ""
    before_deployment: bool = False


@dataclass(frozen=True)
class Check:
    """One line of the report. ``run`` may raise any error of Stage; :mod:`.checks` turns it into a finding.

    ``if_missing`` is the remedy if the resource that is checked does not exist.
    """

    name: str
    run: Callable[[Stage], Result]
    if_missing: str = DEPLOY_AGAIN


def finding_of(result: Result) -> Finding:
    """Return one finding for all faults, with the worst status; OK if there are none."""
    seen = list(result)
    faults = [item for item in seen if isinstance(item, Fault)]
    if not faults:
        return Finding(Status.OK, "; ".join(map(str, seen)))
    status = _worst(fault.status for fault in faults)
    remedies = dict.fromkeys(fault.remedy for fault in faults)
    before = all(fault.before_deployment for fault in faults)
    return Finding(status, "; ".join(fault.problem for fault in faults), " ".join(remedies), before)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the code of the worst finding: 0 (ok), 1 (warning), 3 (not checked) or 2 (failure)."""
    return _EXIT_CODES[_worst(finding.status for finding in findings)]


def release_exit_code(findings: Iterable[Finding]) -> int:
    """Return the code for a release: only what a deployment can have broken counts, and no warning does."""
    code = exit_code(finding for finding in findings if not finding.before_deployment)
    return 0 if code == _EXIT_CODES[Status.WARNING] else code


def _worst(statuses: Iterable[Status]) -> Status:
    return max(statuses, key=_SEVERITIES.__getitem__, default=Status.OK)
