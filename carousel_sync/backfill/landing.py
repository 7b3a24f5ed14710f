"""Records of the past into the stores, a batch at a time, by the very code that the function runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from carousel_sync.aws.target import Target
from carousel_sync.backfill.records import Record
from lambda_fn.application import ANSWER_SECONDS, SECONDS_WITHOUT_CONTEXT, Application
from lambda_fn.errors import CarouselSyncError, ConfigurationError
from lambda_fn.ports import Delivery, Rejection
from lambda_fn.process_deliveries import Outcome, Result
from lambda_fn.runtime.retry import Clock, Deadline, SystemClock
from lambda_fn.wiring import build

# Together longer than a lease: what an interrupted run has claimed is taken over by then.
PAUSES_SECONDS: Final = (10.0, 20.0, 40.0, 80.0)
EXAMPLES: Final = 20
REQUEST_ID: Final = "backfill"

Process = Callable[[Sequence[Delivery]], Mapping[str, Result]]


Told = Callable[["Backfilled", str], None]
"""Is told how far it has come, and what it waits for: an empty text for nothing."""


@dataclass
class Backfilled:
    """What became of the records that are done with. ``valid`` are those that keep the event's contract.

    ``settled`` is the last record before which nothing was given back; ``stopped`` says why not all were read.
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
        """Whether every record is in the stores."""
        return not (self.given_back or self.rejected or self.stopped)


class Backfill:
    """Lands records; without ``process`` it only checks them, and writes nothing.

    ``rate`` limits the sales a second, on average.
    """

    def __init__(
        self,
        process: Process | None,
        *,
        batch_size: int,
        rate: float | None = None,
        clock: Clock | None = None,
        told: Told = lambda *_: None,
    ) -> None:
        self._process = process
        self._batch_size = batch_size
        self._rate = rate
        self._clock = clock or SystemClock()
        self.told = told
        self.done = Backfilled()

    def run(self, records: Iterable[Record]) -> Backfilled:
        """Take the records in their order; when it ends early, :attr:`done` tells how far it came.

        Raises what the stores' code raises for a stage that is not set up, and ConfigurationError when a file can't be
        read or written. Whatever ends it, at whatever moment: the same files once more, and each sale is there once.
        """
        started = self._clock.monotonic()
        for batch in _batches(records, self._batch_size):
            self._take(batch)
            self.done.records += len(batch)
            if not self.done.given_back:
                self.done.settled = batch[-1].path, batch[-1].number
            self.told(self.done, "")
            if self.done.stopped:
                break
            if self._rate is not None and self._process is not None:
                self._clock.sleep(max(0.0, started + self.done.valid / self._rate - self._clock.monotonic()))
        return self.done

    def _take(self, batch: Sequence[Record]) -> None:
        sales: dict[str, Record] = {}
        rejected: list[tuple[Record, Rejection]] = []
        for record in batch:
            content = record.delivery.content
            if isinstance(content, Rejection):
                rejected.append((record, content))
            else:
                sales[record.delivery.delivery_id] = record
                self.done.unknown_fields.update(record.delivery.unknown_fields)
        self.done.valid += len(sales)
        if self._process is not None and sales:
            rejected += self._land(sales, self._process)
        for record, rejection in sorted(rejected, key=lambda pair: (pair[0].path, pair[0].number)):
            self._reject(record, rejection)

    def _land(self, sales: dict[str, Record], process: Process) -> list[tuple[Record, Rejection]]:
        """Land the sales, and return those that were rejected for what the stores hold."""
        number = len(sales)
        rejected: list[tuple[Record, Rejection]] = []
        causes: Counter[str] = Counter()
        for pause in (*PAUSES_SECONDS, None):
            results = process([record.delivery for record in sales.values()])
            for delivery_id, result in results.items():
                if result.outcome is Outcome.GIVEN_BACK:
                    continue
                record = sales.pop(delivery_id)
                if result.rejection is not None:
                    rejected.append((record, result.rejection))
                elif result.outcome is Outcome.DUPLICATE:
                    self.done.duplicates += 1
                else:
                    self.done.landed += 1
            causes = Counter(results[delivery_id].cause for delivery_id in sales)
            if not sales or pause is None:
                break
            cause = causes.most_common(1)[0][0]
            self.told(self.done, f"{len(sales):,} given back ({cause}); trying again in {pause:.0f} s")
            self._clock.sleep(pause)
        self.done.given_back += len(sales)
        self.done.causes.update(causes)
        if len(sales) == number:
            self.done.stopped = f"a whole batch was given back {len(PAUSES_SECONDS) + 1} times"
        return rejected

    def _reject(self, record: Record, rejection: Rejection) -> None:
        self.done.rejected[rejection.reason.value] += 1
        told = {"line": record.number, "reason": rejection.reason.value, "detail": rejection.detail}
        if len(self.done.examples) < EXAMPLES:
            self.done.examples.append({"file": str(record.path), **told})
        if self._process is None:
            return
        kept_in = rejected_file(record.path)
        if str(kept_in) not in self.done.rejected_files:
            self.done.rejected_files.append(str(kept_in))
        try:
            with kept_in.open("ab") as file:
                file.write(orjson.dumps({**told, "text": record.text}, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise ConfigurationError(f"{kept_in}, which keeps rejected lines, can't be written: {error}.") from error


def rejected_file(path: Path) -> Path:
    """Return the file beside a file of sales that keeps what of it was rejected."""
    return path.with_name(f"{path.name}.rejected.jsonl")


def forget_rejected(paths: Iterable[Path]) -> None:
    """Delete what earlier runs rejected: the files are read from their beginning. Raises ConfigurationError."""
    for path in map(rejected_file, paths):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{path} can't be deleted: {error}. Nothing was written.") from error


def through(application: Application) -> Process:
    """Return what lands deliveries as an invocation of the function does, within its time."""

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
    """Make the function's application on the target's settings; for the embedded stack with its credentials."""
    settings = replace(target.settings, catalog=target.catalog_config)
    if not target.is_local:
        yield build(settings)
        return
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    try:
        os.environ.update(target.credentials, AWS_EC2_METADATA_DISABLED="true")
        yield build(settings)
    finally:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(before)


def _batches(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := list(islice(iterator, size)):
        yield batch
