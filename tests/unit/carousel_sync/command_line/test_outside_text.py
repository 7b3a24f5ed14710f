"""What the commands print of events, rows, items and messages of services: nothing that a terminal would obey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from carousel_sync.analysis import commands as analysis
from carousel_sync.analysis.athena import Answer
from carousel_sync.aws.target import Target
from carousel_sync.backfill import commands as backfill
from carousel_sync.backfill.landing import BackfillReport
from carousel_sync.check import commands as check
from carousel_sync.check.events import Checked
from carousel_sync.cli import COMMANDS
from carousel_sync.command_line import console
from carousel_sync.consistency import commands as consistency
from carousel_sync.consistency import presentation
from carousel_sync.consistency.compare import Findings, Report
from carousel_sync.consistency.dedupe import SaleRows
from carousel_sync.consistency.repair import Repairs
from carousel_sync.dead_letters import commands as dead_letters
from carousel_sync.dead_letters.discard import Chosen, Discarded
from carousel_sync.dead_letters.redrive import Redriven
from carousel_sync.demo import scenario
from carousel_sync.deployment import commands as deployment
from carousel_sync.deployment.change_set import Change, ChangeSet
from carousel_sync.doctor import commands as doctor
from carousel_sync.doctor.checks import CHECKS
from carousel_sync.doctor.finding import Finding, Status
from carousel_sync.events import commands as events
from carousel_sync.events.generate import Recipe
from carousel_sync.events.simulation import Counts
from carousel_sync.explore import commands as explore
from carousel_sync.explore import results
from carousel_sync.explore.sql import Result
from carousel_sync.local_stack import commands as local_stack
from carousel_sync.local_stack.stack import StackStatus
from carousel_sync.table import commands as table
from lambda_fn.ports import Reason, Rejection
from tests.fakes.sqs import FakeSQS
from tests.unit.carousel_sync.command_line.screen import HOSTILE, obeyed, printed
from tests.unit.carousel_sync.dead_letters.conftest import DEAD, Deployed

Show = Callable[[], object]
TARGET = cast("Target", Deployed(FakeSQS(DEAD)))
RECIPE = Recipe(count=1, seed=1, until=date(2026, 1, 1))


def stored_values() -> Result:
    columns = [HOSTILE, "price"]
    return Result(columns, iter([(HOSTILE, 1.5), (None, 2.0), ([HOSTILE, HOSTILE, {HOSTILE: 1}], 3.0), (b"\x1b", 4.0)]))


def report() -> Report:
    lists: dict[str, Any] = {
        name: [HOSTILE] for name in Report.__annotations__ if name not in {"sales", "rows", "items", "findings"}
    }
    doubled = {f"tenant\x1b/{HOSTILE}"}
    findings = Findings(set(), doubled, set(), {}, set())
    return Report(sales=1, rows=1, items=1, findings=findings, **lists)


def letters() -> list[Mapping[str, str]]:
    return [{"id": HOSTILE, "reason": HOSTILE, "detail": HOSTILE, "first_seen": HOSTILE}]


def show_refusal() -> None:
    answer: Any = {"Error": {"Code": "No", "Message": HOSTILE}}
    with console.readable_errors():
        raise ClientError(answer, "DescribeStacks")


def show_backfill() -> None:
    found = BackfillReport(stopped=HOSTILE, rejected_files=[HOSTILE], given_back=1)
    found.rejected, found.causes, found.unknown_fields = (Counter({HOSTILE: 2}) for _ in range(3))
    found.examples = [{"file": HOSTILE, "line": 1, "reason": HOSTILE, "detail": HOSTILE}]
    backfill._show(found, lambda _: HOSTILE, dry_run=True)


def show_rows() -> None:
    rows = pa.table({"ingestion_timestamp": [1, 2], HOSTILE: [HOSTILE, "b"]})
    consistency._show_rows(SaleRows(rows, [HOSTILE]))


def show_counts() -> None:
    events._show(Counts(defects=Counter({HOSTILE: 1}), tenants=Counter({HOSTILE: 1})), RECIPE)


CHECKED = Checked(2, [(1, Rejection(Reason.INVALID_FIELD, HOSTILE))], Counter({HOSTILE: 1}))

SHOWN: dict[str, list[Show]] = {
    "query": [
        lambda: results.show(stored_values(), console.stdout),
        lambda: results.write_json(stored_values()),
        lambda: results.show(Result([HOSTILE], iter([])), console.stdout),
    ],
    "athena": [lambda: analysis._show(Answer(HOSTILE, stored_values(), 1, 1))],
    "sales": [lambda: explore._show([{"productId": {"S": HOSTILE}, "salePrice": {"N": "1"}}])],
    "verify": [
        lambda: presentation.show_report(report(), TARGET),
        lambda: presentation.show_repairs(Repairs(True, [HOSTILE], left={HOSTILE: HOSTILE}), TARGET),
        lambda: presentation.show_list("", "", presentation.dedupe_commands(report(), TARGET)),
    ],
    "dedupe": [show_rows],
    "check": [lambda: check._show(CHECKED)],
    "dlq": [
        lambda: dead_letters._print_letters(letters()),
        lambda: dead_letters._print_reasons([(HOSTILE, letters())], TARGET),
        lambda: dead_letters._print_redriven(
            Redriven(Counter({HOSTILE: 1}), Counter({HOSTILE: 1}), refused={HOSTILE: HOSTILE}, unknown=[HOSTILE]),
            TARGET,
            dry_run=True,
            by_default=True,
        ),
        lambda: dead_letters._print_chosen(Chosen({HOSTILE: HOSTILE}, Counter(), [], True), Path(HOSTILE)),
        lambda: dead_letters._print_discarded(
            Discarded(Counter({HOSTILE: 1}), [HOSTILE]), Chosen({}, Counter(), [HOSTILE], True), Path(HOSTILE), TARGET
        ),
    ],
    "backfill": [show_backfill],
    "doctor": [lambda: doctor._show(TARGET, [(CHECKS[0], Finding(Status.FAILURE, HOSTILE, HOSTILE))])],
    "deploy": [
        lambda: deployment._show(ChangeSet(HOSTILE, "", False, (Change("Add", HOSTILE, HOSTILE, False),))),
        lambda: deployment._show(ChangeSet(HOSTILE, "", False, ())),
        lambda: console.stderr.print(HOSTILE),
    ],
    "evolve": [lambda: table._print(HOSTILE)],
    "simulate": [show_counts],
    "local": [lambda: local_stack._show(StackStatus(True, endpoint=HOSTILE, stage=HOSTILE))],
    "report": [lambda: console.stderr.print(f"The report of 2025-12 is in {HOSTILE}", soft_wrap=True)],
    "demo": [lambda: scenario._heading(1, HOSTILE, HOSTILE)],
    "send": [show_refusal, lambda: console.print_json({HOSTILE: HOSTILE})],
}
"""What prints text from outside, by command."""
ONLY_ITS_OWN = {"cost", "size", "bench", "destroy"}
"""Commands that print figures and names of this project only."""


def test_every_command_is_covered() -> None:
    assert SHOWN.keys() | ONLY_ITS_OWN == COMMANDS.keys()


def cases() -> Iterator[Any]:
    for name, shows in SHOWN.items():
        for number, show in enumerate(shows):
            yield pytest.param(show, id=f"{name}-{number}")


@pytest.mark.parametrize("width", [60, 80, 120, None])
@pytest.mark.parametrize("show", list(cases()))
def test_text_from_outside_is_shown_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, show: Show, width: int | None
) -> None:
    text = printed(monkeypatch, width, show)
    assert not obeyed(text)
    assert "[bold]x[/] [/no] :fire:" in " ".join(text.split())


def test_csv_for_a_program_is_exact_and_csv_for_a_terminal_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = printed(monkeypatch, None, lambda: results.write_csv(Result(["a"], iter([("\x1b[31m",)]))))
    shown = printed(monkeypatch, 80, lambda: results.write_csv(Result(["a"], iter([("\x1b[31m",)]))))
    assert (exact, shown) == ("a\n\x1b[31m\n", "a\n\\x1b[31m\n")


def test_a_letter_is_shown_and_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = FakeSQS(DEAD)
    message_id = queues.add(DEAD, HOSTILE, reason="INVALID_JSON", detail=HOSTILE)
    monkeypatch.setattr(dead_letters, "resolve", lambda *_: Deployed(queues))
    text = printed(monkeypatch, 80, lambda: dead_letters.show(message_id))
    assert not obeyed(text)
    assert text.count("[bold]x[/] [/no] :fire: \\x1b[31m") == 2


def test_a_file_name_is_shown_and_not_obeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31m:fire:"
    text = printed(monkeypatch, 80, lambda: events.send(folder))
    assert not obeyed(text)
    assert "\\x1b[31m:fire:" in text


@pytest.mark.parametrize("width", [60, 80, 120, None])
def test_ids_and_reasons_are_never_cut(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    letter_id, sale_id, reason = (
        "4919a9a8-ef24-4e13-9f8c-bcaed91798be",
        "SALE-1790541661000-1db37529",
        "CONFLICTING_DUPLICATE",
    )
    one = {
        "id": letter_id,
        "reason": reason,
        "detail": "detail.salePrice: " * 9,
        "first_seen": "2026-11-22T21:07:32.405Z",
    }
    item = {"saleId": {"S": sale_id}, "productId": {"S": "PROD-LV-12345"}, "discountPercent": {"N": "4.83333333333333"}}

    def show() -> None:
        dead_letters._print_letters([one])
        dead_letters._print_reasons([(reason, [one])], TARGET)
        explore._show([item])

    text = printed(monkeypatch, width, show)
    assert (text.count(letter_id), text.count(reason)) == (3, 3)
    assert sale_id in text
    assert "PROD-LV-12345" in text
    assert "4.83" in text
    assert "4.833" not in text
