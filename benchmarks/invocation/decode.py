"""From messages to a Parquet file: events per second on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.invocation import plain_handler
from benchmarks.measuring import Bench, paired_ratio
from benchmarks.report import Row
from catalog_config.connect import connect
from lambda_fn.application import deliveries_of_batch
from lambda_fn.iceberg import staging
from lambda_fn.sale import Sale
from lambda_fn.wiring import new_attempt_id
from testbed.sales import DIMENSION, one_partition_batch

EVENTS: Final = 500
MIN_EVENTS_PER_SECOND: Final = 5000.0
MIN_TIMES_FASTER: Final = 2.0


def events_per_second(bench: Bench) -> list[Row]:
    """Decode, validate and encode a batch, with our code and the plain code in turn.

    The time is the CPU time of all threads of the process: what one core does, however many there are.
    """
    stores = bench.emulator.create_stores()
    table = connect(stores.settings().catalog).load_table(stores.identifier)
    schema = table.schema().as_arrow()

    def ours(event: dict[str, Any]) -> None:
        contents = [delivery.content for delivery in deliveries_of_batch(event)]
        sales = [content for content in contents if isinstance(content, Sale)]
        assert len(sales) == len(contents), "a rejected event costs less"
        staging.stage(table, sales, new_attempt_id())

    def plain(event: dict[str, Any]) -> None:
        rows = plain_handler.rows([plain_handler.decode(record["body"]) for record in event["Records"]], schema)
        pq.write_table(rows, pa.BufferOutputStream(), compression="zstd")

    event = one_partition_batch(EVENTS)
    measured = {"ours": lambda: _rate(ours, event), "plain": lambda: _rate(plain, event)}
    our_rates, plain_rates = bench.alternate(measured, bench.repetitions(12), warm_up=2).values()
    faster = paired_ratio(our_rates, plain_rates)
    name = f"decode, validate, encode as Parquet: events of {DIMENSION} dimensions on one core"
    target = f">= {MIN_EVENTS_PER_SECOND:.0f}, and >= {MIN_TIMES_FASTER:.0f} x"
    met = median(our_rates) >= MIN_EVENTS_PER_SECOND and faster >= MIN_TIMES_FASTER
    return [Row(name, "events/s", our_rates, plain_rates, faster, target, met)]


def _rate(encode: Callable[[dict[str, Any]], None], event: dict[str, Any]) -> float:
    started = time.process_time()
    encode(event)
    return len(event["Records"]) / (time.process_time() - started)
