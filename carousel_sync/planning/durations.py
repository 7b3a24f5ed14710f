"""How long a batch takes in Lambda, and how much it logs, estimated from measurements on another machine.

Nothing here was measured in Lambda. Once the function runs, its metric Duration is more accurate:
``carousel-sync cost --milliseconds-per-batch``.
"""

from __future__ import annotations

from typing import Final

# Measured twice with `carousel-sync bench local --concurrency 1`, batches of 50 and 500, without and with 1,024
# numbers, some fifteen data files a commit, on one of two cores: CPU 58 and 67, 88 and 71, 197 and 236, 281 and 368 ms;
# logs 9.2 and 73.8 KB. These constants give 65, 76, 218 and 326 ms.
CPU_MILLISECONDS_OF_A_BATCH: Final = 48.0
CPU_MILLISECONDS_OF_A_SALE: Final = 0.34
CPU_MILLISECONDS_OF_1000_NUMBERS: Final = 0.21
LOG_BYTES_OF_A_BATCH: Final = 2000.0
LOG_BYTES_OF_A_SALE: Final = 144.0
WAITING_MILLISECONDS: Final = 200.0
"""An allowance, not a measurement: nine rounds of requests, one after the other, of about twenty milliseconds each."""

FULL_CORE_MB: Final = 1769
"""AWS Lambda Developer Guide, "Configure Lambda function memory": here a function has one whole core."""


def cpu_milliseconds(sales: float, embedding: int) -> float:
    """Return the CPU time of a batch of this number of sales on a whole core."""
    of_a_sale = CPU_MILLISECONDS_OF_A_SALE + CPU_MILLISECONDS_OF_1000_NUMBERS * embedding / 1000
    return CPU_MILLISECONDS_OF_A_BATCH + sales * of_a_sale


def lambda_milliseconds(cpu: float, memory_mb: int) -> float:
    """Return how long Lambda takes for this CPU time (milliseconds): below 1,769 MB it provides a part of a core."""
    return cpu * max(1.0, FULL_CORE_MB / memory_mb) + WAITING_MILLISECONDS


def log_bytes(sales: float) -> float:
    """Return how many bytes a batch of this number of sales logs."""
    return LOG_BYTES_OF_A_BATCH + sales * LOG_BYTES_OF_A_SALE
