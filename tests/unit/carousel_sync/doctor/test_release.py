"""``doctor --ci``: the exit code for a release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from carousel_sync.doctor.alarms import alarms, dead_letters
from carousel_sync.doctor.finding import Finding, Status, exit_code, finding_of, release_exit_code

DEPLOYED = datetime(2026, 11, 25, 4, tzinfo=UTC)
BEFORE, AFTER = DEPLOYED - timedelta(hours=1), DEPLOYED + timedelta(minutes=1)


def stage(*since: datetime, letters: int = 0, updated: bool = True) -> Any:
    """Return a stage with an alarm that has been in ALARM since each of these times, and one that is OK."""
    states = {f"carousel-sync-dev-Alarm{number}": ("ALARM", time) for number, time in enumerate(since)}
    states["carousel-sync-dev-Quiet"] = ("OK", AFTER)
    found = [
        {"AlarmName": name, "StateValue": state, "StateUpdatedTimestamp": time, "AlarmActions": ["arn"]}
        for name, (state, time) in states.items()
    ]
    return SimpleNamespace(
        resources=[{"PhysicalResourceId": name, "ResourceType": "AWS::CloudWatch::Alarm"} for name in states],
        stack={
            "CreationTime": DEPLOYED if not updated else BEFORE,
            **({"LastUpdatedTime": DEPLOYED} if updated else {}),
        },
        client=lambda _: SimpleNamespace(describe_alarms=lambda **_: {"MetricAlarms": found}),
        dead_letter_queue="letters",
        messages_in=lambda _: letters,
    )


@pytest.mark.parametrize("updated", [True, False])
@pytest.mark.parametrize(
    ("since", "code"), [([], 0), ([BEFORE], 0), ([BEFORE, BEFORE], 0), ([AFTER], 2), ([BEFORE, AFTER], 2)]
)
def test_only_an_alarm_that_went_off_after_the_deployment_fails_a_release(
    since: list[datetime], code: int, updated: bool
) -> None:
    finding = finding_of(alarms(stage(*since, updated=updated)))
    assert release_exit_code([finding]) == code
    assert exit_code([finding]) == (2 if since else 0)
    assert ("since before the last deployment" in finding.seen) == (BEFORE in since)
    assert all(f"section Alarm{number}" in finding.remedy for number in range(len(since)))


def test_dead_letters_do_not_fail_a_release() -> None:
    finding = finding_of(dead_letters(stage(letters=3)))
    assert (finding.status, release_exit_code([finding])) == (Status.WARNING, 0)


@pytest.mark.parametrize(("status", "code"), [(Status.OK, 0), (Status.WARNING, 0), (Status.NOT_CHECKED, 3)])
def test_what_could_not_be_checked_fails_a_release_and_a_warning_does_not(status: Status, code: int) -> None:
    assert release_exit_code([Finding(Status.WARNING, "one"), Finding(status, "another")]) == code
