"""Doing independent requests at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


class Parallel(Protocol):
    """Runs one function over many arguments; answers come back in the arguments' order."""

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Run them all, wait for all, and raise the first exception, if any, only then."""
        ...

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run two functions, wait for both, and return what the first returned."""
        ...


class Threads:
    """A pool of threads, for requests that wait on the network."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="request")

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Run them all, wait for all, and raise the first exception, if any, only then."""
        given = list(arguments)
        if len(given) == 1:
            return [function(given[0])]
        futures = [self._pool.submit(function, argument) for argument in given]
        # Wait for every one before looking at any: a request that is still on its way when the caller has given up
        # would act behind the caller's back.
        for future in futures:
            future.exception()
        return [future.result() for future in futures]

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run two functions, wait for both, and return what the first returned."""
        future = self._pool.submit(function)
        try:
            beside()
        finally:
            future.exception()
        return future.result()


class InTurn:
    """One after the other, in the caller's thread."""

    def map(self, function: Callable[[Argument], Answer], arguments: Iterable[Argument]) -> list[Answer]:
        """Run them all, in order."""
        return [function(argument) for argument in arguments]

    def both(self, function: Callable[[], Answer], beside: Callable[[], None]) -> Answer:
        """Run the first, then the second; return what the first returned."""
        answer = function()
        beside()
        return answer
