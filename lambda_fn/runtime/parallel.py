"""Runs independent requests in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


class Parallel(Protocol):
    """Runs functions, possibly in parallel."""

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Call the function with each argument, and return the results in the same order.

        Waits for all calls to end before it raises the first exception, if there is one.
        """
        ...

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run two functions, wait for both to end, and return the first one's result."""
        ...


class Threads:
    """A pool of threads, for requests that wait for the network."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="request")

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Call the function with each argument, and return the results in the same order.

        Waits for all calls to end before it raises the first exception, if there is one.
        """
        given = list(arguments)
        if len(given) == 1:
            return [function(given[0])]
        futures = [self._pool.submit(function, argument) for argument in given]
        # Wait for all before looking at any result: a request that is still under way after the caller has given up
        # could take effect unnoticed.
        for future in futures:
            future.exception()
        return [future.result() for future in futures]

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run two functions, wait for both to end, and return the first one's result."""
        future = self._pool.submit(function)
        try:
            beside()
        finally:
            future.exception()
        return future.result()
