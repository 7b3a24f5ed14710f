"""From messages to a Parquet file: events for each second of one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import plain
from benchmarks.events import DIMENSION, one_partition_batch
from benchmarks.measuring import Bench, alternate
from benchmarks.report import Row, paired_ratio
from catalog_config.connect import connect
from lambda_fn.application import deliveries_of_batch
from lambda_fn.iceberg import staging
from lambda_fn.sale import Sale
from lambda_fn.wiring import new_attempt_id

EVENTS: Final = 500
EVENTS_PER_SECOND: Final = 5000.0
TIMES_FASTER: Final = 2.0


def events_per_second(bench: Bench) -> list[Row]:
    """Decode, validate and encode a batch, ours and the plain way, in turn.

    CPU seconds of the process, all threads: what one core does, however many there are.
    """
    stores = bench.stand.stores()
    table = connect(bench.stand.settings(stores, bench.stand.server).catalog).load_table(stores.identifier)
    schema = table.schema().as_arrow()

    def ours(event: dict[str, Any]) -> None:
        contents = [delivery.content for delivery in deliveries_of_batch(event)]
        sales = [content for content in contents if isinstance(content, Sale)]
        assert len(sales) == len(contents), "a rejected event costs less"
        staging.stage(table, sales, new_attempt_id())

    def the_plain_way(event: dict[str, Any]) -> None:
        rows = plain.rows([plain.decode(record["body"]) for record in event["Records"]], schema)
        pq.write_table(rows, pa.BufferOutputStream(), compression="zstd")

    event = one_partition_batch(EVENTS)
    rates = alternate(
        bench,
        {"ours": lambda: _rate(ours, event), "plain": lambda: _rate(the_plain_way, event)},
        repetitions=bench.repetitions(12),
        warm_up=2,
    )
    faster = paired_ratio(rates["ours"], rates["plain"])
    middle = sorted(rates["ours"])[len(rates["ours"]) // 2]
    return [
        Row(
            f"decode, validate, encode as Parquet: events of {DIMENSION} dimensions on one core",
            "events/s",
            rates["ours"],
            f">= {EVENTS_PER_SECOND:.0f}, and >= {TIMES_FASTER:.0f} x",
            met=middle >= EVENTS_PER_SECOND and faster >= TIMES_FASTER,
            anchor=rates["plain"],
            ratio=faster,
        )
    ]


def _rate(encode: Callable[[dict[str, Any]], None], event: dict[str, Any]) -> float:
    started = time.process_time()
    encode(event)
    return len(event["Records"]) / (time.process_time() - started)
