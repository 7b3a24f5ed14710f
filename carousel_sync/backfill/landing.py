"""Stores past sales from files, a batch at a time, with the same code that the function runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson
from more_itertools import chunked

from carousel_sync.aws.target import Target
from carousel_sync.backfill.records import Record
from lambda_fn.application import ANSWER_SECONDS, SECONDS_WITHOUT_CONTEXT, Application
from lambda_fn.errors import CarouselSyncError, ConfigurationError
from lambda_fn.ports import Delivery, Rejection
from lambda_fn.process_deliveries import Outcome, Result
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock
from lambda_fn.wiring import build

# Together longer than a lease, so that the claims of an interrupted run are taken over in the meantime.
PAUSES_SECONDS: Final = (10.0, 20.0, 40.0, 80.0)
EXAMPLES: Final = 20
REQUEST_ID: Final = "backfill"

Process = Callable[[Sequence[Delivery]], Mapping[str, Result]]
"""Stores deliveries, and returns the result of each by its delivery id."""
Progress = Callable[["BackfillReport", str], None]
"""Receives the counts so far, and what the backfill waits for; the text is empty if it does not wait."""


@dataclass
class BackfillReport:
    """The counts of the records that were processed. ``valid`` records satisfy the event's contract.

    ``settled`` is the file and number of the last record up to which nothing was given back. ``stopped`` says why the
    backfill ended early, if it did.
    """

    records: int = 0
    valid: int = 0
    landed: int = 0
    duplicates: int = 0
    given_back: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    rejected_files: list[str] = field(default_factory=list)
    settled: tuple[Path, int] | None = None
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every record is stored."""
        return not (self.given_back or self.rejected or self.stopped)


class Backfill:
    """Stores records; without ``process`` it only checks them, and writes nothing.

    ``rate`` limits the sales a second, on average. ``report`` is up to date at any moment, so that an interruption can
    show it.
    """

    def __init__(
        self, process: Process | None, *, batch_size: int, rate: float | None = None, clock: Clock | None = None
    ) -> None:
        self._process = process
        self._batch_size = batch_size
        self._rate = rate
        self._clock = clock or SystemClock()
        self.report = BackfillReport()

    def run(self, records: Iterable[Record], progress: Progress = lambda *_: None) -> BackfillReport:
        """Store the records in their order.

        Raises ConfigurationError when a file can't be read or written, and what the function's code raises when the
        stage is not set up. However it ends, a repeat with the same files stores each sale exactly once.
        """
        started = self._clock.monotonic()
        for batch in chunked(records, self._batch_size):
            self._take(batch, progress)
            self.report.records += len(batch)
            if not self.report.given_back:
                self.report.settled = batch[-1].path, batch[-1].number
            progress(self.report, "")
            if self.report.stopped:
                break
            if self._rate is not None and self._process is not None:
                self._clock.sleep(max(0.0, started + self.report.valid / self._rate - self._clock.monotonic()))
        return self.report

    def _take(self, batch: Sequence[Record], progress: Progress) -> None:
        sales: dict[str, Record] = {}
        rejected: list[tuple[Record, Rejection]] = []
        for record in batch:
            delivery = record.delivery
            if isinstance(delivery.content, Rejection):
                rejected.append((record, delivery.content))
            else:
                sales[delivery.delivery_id] = record
                self.report.unknown_fields.update(delivery.unknown_fields)
        self.report.valid += len(sales)
        if self._process is not None and sales:
            rejected += self._land(sales, self._process, progress)
        for record, rejection in sorted(rejected, key=lambda pair: (pair[0].path, pair[0].number)):
            self._reject(record, rejection)

    def _land(self, sales: dict[str, Record], process: Process, progress: Progress) -> list[tuple[Record, Rejection]]:
        """Store the sales, and return those that were rejected because of what is stored already."""
        pending = dict(sales)
        rejected: list[tuple[Record, Rejection]] = []
        for pause in (*PAUSES_SECONDS, None):
            results = process([record.delivery for record in pending.values()])
            for delivery_id, result in results.items():
                if result.outcome is Outcome.GIVEN_BACK:
                    continue
                record = pending.pop(delivery_id)
                if result.rejection is not None:
                    rejected.append((record, result.rejection))
                elif result.outcome is Outcome.DUPLICATE:
                    self.report.duplicates += 1
                else:
                    self.report.landed += 1
            causes = Counter(results[delivery_id].cause for delivery_id in pending)
            if not pending or pause is None:
                break
            ((cause, _),) = causes.most_common(1)
            progress(self.report, f"{len(pending):,} given back ({cause}); next try in {pause:.0f} s")
            self._clock.sleep(pause)
        self.report.given_back += len(pending)
        self.report.causes.update(causes)
        if len(pending) == len(sales):
            self.report.stopped = f"a whole batch was given back {len(PAUSES_SECONDS) + 1} times"
        return rejected

    def _reject(self, record: Record, rejection: Rejection) -> None:
        self.report.rejected[rejection.reason.value] += 1
        entry = {"line": record.number, "reason": rejection.reason.value, "detail": rejection.detail}
        if len(self.report.examples) < EXAMPLES:
            self.report.examples.append({"file": str(record.path), **entry})
        if self._process is None:
            return
        path = rejected_file(record.path)
        if str(path) not in self.report.rejected_files:
            self.report.rejected_files.append(str(path))
        try:
            with path.open("ab") as file:
                file.write(orjson.dumps({**entry, "text": record.text}, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise ConfigurationError(f"{path}, the file for rejected records, can't be written: {error}.") from error


def rejected_file(path: Path) -> Path:
    """Return the file for the rejected records of a file, which is beside it."""
    return path.with_name(f"{path.name}.rejected.jsonl")


def delete_rejected_files(paths: Iterable[Path]) -> None:
    """Delete the files for rejected records of earlier runs. Raises ConfigurationError."""
    for path in map(rejected_file, paths):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{path} can't be deleted: {error}. No sale was stored.") from error


def process_with(application: Application) -> Process:
    """Return a function that stores deliveries as one invocation of the Lambda function would, within its time."""

    def process(deliveries: Sequence[Delivery]) -> Mapping[str, Result]:
        deadline = Deadline.after(application.clock, SECONDS_WITHOUT_CONTEXT - ANSWER_SECONDS)
        application.telemetry.start(REQUEST_ID)
        try:
            return application.process.process(deliveries, REQUEST_ID, deadline)
        except CarouselSyncError as error:
            application.telemetry.failure(error)
            raise
        finally:
            application.telemetry.flush()

    return process


@contextmanager
def application_of(target: Target) -> Iterator[Application]:
    """Build the function's application with the target's settings, and the credentials of the embedded stack."""
    settings = replace(target.settings, catalog=target.catalog_config)
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if target.is_local:
        _set_aws_variables({**target.credentials, "AWS_EC2_METADATA_DISABLED": "true"})
    try:
        yield build(settings)
    finally:
        _set_aws_variables(before)


def _set_aws_variables(variables: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
