"""The kinds of writers: the function's handler and its writer of the table, in groups or alone, and pyiceberg's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from benchmarks.append.writers import plain_rows
from benchmarks.invocation import plain_handler
from lambda_fn.event import parse_event
from lambda_fn.ports import Landed
from lambda_fn.sale import Sale
from lambda_fn.settings import GroupCommitMode
from testbed.function import TableWriter, function_handler
from testbed.sales import one_partition_envelopes
from testbed.stores import Stores


class Side(StrEnum):
    """What writes."""

    HANDLER = "in groups"
    HANDLER_ALONE = "alone"
    TABLE_WRITER = "our writer"
    PLAIN = "Table.append"


@dataclass(frozen=True)
class Kind:
    """What writes, and how many sales at a time. ``name`` tells kinds apart that are otherwise the same."""

    side: Side
    sales: int = 1
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.side.value


@dataclass(frozen=True)
class Batch:
    """Sales of one tenant and month without embeddings, whose ids no other batch has."""

    envelopes: Sequence[dict[str, Any]]
    sales: Sequence[Sale]

    @property
    def sale_ids(self) -> list[str]:
        """The ids of the sales."""
        return [sale.sale_id for sale in self.sales]


@dataclass(frozen=True)
class Writer:
    """The batches that a writer has to write, and how it writes one. ``write`` raises unless the batch has landed."""

    batches: Iterator[Batch]
    write: Callable[[Batch], object]
    warm_up: Callable[[], object]


def make_writer(kind: Kind, stores: Stores, endpoint: str) -> Writer:
    """Make a writer for these stores. Its warm-up lands one batch, except pyiceberg's, which loads the table."""
    batches = new_batches(kind.sales)
    if kind.side is Side.PLAIN:
        return Writer(batches, _plain_writer(stores, endpoint), lambda: None)
    make = _table_writer if kind.side is Side.TABLE_WRITER else _handler
    write = make(kind.side, stores, endpoint)
    return Writer(batches, write, lambda: write(next(batches)))


def new_batches(sales: int) -> Iterator[Batch]:
    """Yield batches of so many sales."""
    (template,) = one_partition_envelopes(1, 0)
    parsed = _parsed(template)
    while True:
        ids = [str(uuid.uuid4()) for _ in range(sales)]
        envelopes = [
            {**template, "id": each, "detail": {**template["detail"], "saleId": f"{_PREFIX}{each}"}} for each in ids
        ]
        yield Batch(envelopes, [replace(parsed, sale_id=f"{_PREFIX}{each}") for each in ids])


_PREFIX: Final = "SALE-"


def _parsed(envelope: dict[str, Any]) -> Sale:
    content = parse_event("", envelope, "", "").content
    assert isinstance(content, Sale), content
    return content


def _handler(side: Side, stores: Stores, endpoint: str) -> Callable[[Batch], object]:
    mode = GroupCommitMode.OFF if side is Side.HANDLER_ALONE else GroupCommitMode.ADAPTIVE
    handle = function_handler(replace(stores.settings(endpoint), group_commit=mode))

    def write(batch: Batch) -> None:
        (envelope,) = batch.envelopes
        handle(envelope)

    return write


def _table_writer(side: Side, stores: Stores, endpoint: str) -> Callable[[Batch], object]:
    writer = TableWriter(stores.settings(endpoint))

    def write(batch: Batch) -> None:
        result = writer.append(batch.sales)
        assert isinstance(result, Landed), result

    return write


def _plain_writer(stores: Stores, endpoint: str) -> Callable[[Batch], object]:
    table = plain_handler.load_table(stores.environment(endpoint))

    def write(batch: Batch) -> None:
        try:
            table.append(plain_rows(batch.sales, table.schema()))
        except Exception:
            table.refresh()  # The next append would start with the head that lost.
            raise

    return write
