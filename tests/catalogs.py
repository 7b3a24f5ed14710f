"""Wrappers around a catalog whose commits fail, or whose responses are lost or late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.table import Table
from requests.exceptions import ConnectionError as RequestConnectionError
from requests.exceptions import ReadTimeout

from tests.fakes.clock import FakeClock

Commit = Callable[[], Any]
Fault = Callable[[Commit], Any]


def answered(commit: Commit) -> Any:
    """No fault: the commit is sent and answered."""
    return commit()


def answer_lost(commit: Commit) -> Any:
    """The commit takes effect, and its response is lost."""
    commit()
    raise ReadTimeout("the response was lost")


def never_sent(commit: Commit) -> Any:
    """The request never reaches the catalog."""
    raise RequestConnectionError("connection refused")


class Held:
    """Holds a request back: the sender sees a time-out, and ``deliver`` sends the request later."""

    def __init__(self) -> None:
        self._commit: Commit | None = None

    def __call__(self, commit: Commit) -> Any:
        self._commit = commit
        raise ReadTimeout("no response in time")

    def deliver(self) -> Any:
        """Send the request now."""
        assert self._commit is not None, "no request was sent"
        return self._commit()


def first_do(action: Callable[[], object]) -> Fault:
    """Return a fault in which ``action`` runs just before the request arrives."""

    def fault(commit: Commit) -> Any:
        action()
        return commit()

    return fault


class FaultyCatalog:
    """A catalog whose commits meet the given faults in turn, and succeed after the last one."""

    def __init__(self, inner: Catalog, faults: list[Fault]) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit_table(self, *arguments: Any) -> Any:
        fault = self._faults.pop(0) if self._faults else answered
        return fault(lambda: self._inner.commit_table(*arguments))


def faulty(*faults: Fault) -> Callable[[Catalog], Catalog]:
    """Return a function that wraps a catalog so that its commits meet the faults in turn."""
    remaining = list(faults)
    return lambda catalog: FaultyCatalog(catalog, remaining)  # type: ignore[return-value]


class Files:
    """Wraps a catalog so that uploads of its tables' files take ``seconds``, and the first ``failing`` ones fail.

    ``uploaded`` has the times of the uploads on the monotonic clock, and ``read`` the locations of the files read.
    """

    def __init__(self, clock: FakeClock, seconds: float = 0.0, failing: int = 0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.failing = failing
        self.uploaded: list[float] = []
        self.read: list[str] = []

    def __call__(self, catalog: Catalog) -> Catalog:
        return _CatalogWithFiles(catalog, self)  # type: ignore[return-value]

    def upload(self) -> None:
        """Fail, or take the time of an upload."""
        if self.failing:
            self.failing -= 1
            raise RequestConnectionError("connection refused")
        self.clock.advance(self.seconds)
        self.uploaded.append(self.clock.monotonic())


class _CatalogWithFiles:
    def __init__(self, inner: Catalog, files: Files) -> None:
        self._inner = inner
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load_table(self, identifier: Any) -> Table:
        table = self._inner.load_table(identifier)
        table.io = _CountedFiles(table.io, self._files)  # type: ignore[assignment]
        return table


class _CountedFiles:
    def __init__(self, inner: FileIO, files: Files) -> None:
        self._inner = inner
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def new_output(self, location: str) -> OutputFile:
        self._files.upload()
        return self._inner.new_output(location)

    def new_input(self, location: str) -> InputFile:
        self._files.read.append(location)
        return self._inner.new_input(location)
