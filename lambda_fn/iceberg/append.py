"""One append while it is under way: what is staged, what is known of its commits, and the judgement by the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol

from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.history import judge
from lambda_fn.iceberg.store import CommitResult, Committed, NotSent, Staged, State, TableStore, Unknown
from lambda_fn.ports import AppendResult, GiveUp, Landed, NotKnownToHaveLanded
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale


class Head(Protocol[State]):
    """The table's head as this process saw it last."""

    def load(self, deadline: Deadline) -> State:
        """Read the head and remember it. Raises StoreUnavailable."""
        ...

    def committed(self, state: State) -> None:
        """Pin this head, which this process has just committed, in the next attempt."""
        ...

    def forget(self) -> None:
        """Read the head from the catalog in the next attempt."""
        ...


class Append(Generic[State, Staged]):
    """The sales of one attempt on their way into the table.

    As of ``judged`` the attempt has not landed. The next commit is a compare-and-set on it. ``looked_up``: some of the
    sales were looked up in the table, as of the same snapshot.
    """

    def __init__(
        self,
        head: Head[State],
        store: TableStore[State, Staged],
        attempt_id: int,
        sales: Sequence[Sale],
        fenced: frozenset[int],
        judged: State,
        staged: Staged,
        *,
        looked_up: bool = False,
    ) -> None:
        self.attempt_id = attempt_id
        self.fenced = fenced
        self.judged = judged
        self.staged = staged
        self.looked_up = looked_up
        self.conflicts = 0
        self._head = head
        self._store = store
        self._sales = sales
        self._last: NotSent | Unknown | None = None

    def commit_alone(
        self, retry: Retry, deadline: Deadline, when_contended: Callable[[], AppendResult] | None = None
    ) -> AppendResult:
        """Commit the sales as a snapshot of their own.

        Once a commit has lost a race against another writer, the attempt has not landed, and ``when_contended``
        finishes it, if it is given.
        """
        for _ in retry.tries(deadline, self._store.commit_seconds + self._store.load_seconds):
            # Judge after the pause between two tries, not before it: the next commit builds on the head that is read
            # here, and the less time passes between the two, the fewer commits are refused.
            if self._is_stale:
                before, was_unknown = self.judged.head, isinstance(self._last, Unknown)
                if (judgement := self.reload(deadline)) is not None:
                    return judgement
                if when_contended is not None and was_unknown and self.judged.head != before:
                    return when_contended()
            if isinstance(self.commit((), deadline), Committed):
                return Landed(self.attempt_id, self.conflicts)
        return self.give_up(deadline)

    def commit(
        self, members: Sequence[tuple[int, str]], deadline: Deadline, fenced: frozenset[int] = frozenset()
    ) -> CommitResult[State]:
        """Try to commit once, on the head that was judged last, together with the manifests of other attempts.

        Each member is an attempt's id with its manifest; ``fenced`` are the attempts that the members fence. Stages
        the files again if the table's schema or partition spec has changed. Raises ColumnsMissing.
        """
        self.stage_again_if_needed()
        result = self._store.commit(self.judged, self.staged, members, self.fenced | fenced, deadline)
        if isinstance(result, Committed):
            self._head.committed(result.state)
        else:
            self._last = result
            self.conflicts += isinstance(result, Unknown)
        return result

    def share(self, deadline: Deadline) -> NotSent | None:
        """Upload the files that another writer needs to land this attempt. Returns the failure, if any."""
        failure = self._store.share(self.judged, self.staged, deadline)
        if failure is not None:
            self._last = failure
        return failure

    def stage_again_if_needed(self) -> None:
        """Stage again if the files do not have the table's current schema and partition spec. Raises ColumnsMissing."""
        if not self._store.fits(self.judged, self.staged):
            self.staged = self._store.stage(self.judged, self._sales, self.attempt_id)

    def reload(self, deadline: Deadline) -> AppendResult | None:
        """Read the head, and judge the attempt as of it.

        Returns None if the attempt has not landed and may be committed. Then it is safe to commit on that head: each
        request is a compare-and-set, so that at most one of them can take effect.
        """
        try:
            state = self._head.load(deadline)
        except StoreUnavailable as error:
            self._head.forget()
            return NotKnownToHaveLanded(GiveUp.HEAD_UNREADABLE, self.conflicts, str(error))
        verdict = judge(
            self.attempt_id,
            self.fenced,
            self.judged.head,
            state.head,
            state.snapshots,
            looked_up=self.looked_up,
        )
        self.judged = state
        if verdict is None:
            return None
        if isinstance(verdict, GiveUp):
            return NotKnownToHaveLanded(verdict, self.conflicts, self._last_error)
        size = 1 + len(state.snapshots[verdict].landed) if verdict == self.attempt_id else 0
        return Landed(verdict, self.conflicts, group_size=size)

    def give_up(self, deadline: Deadline, *, may_have_landed: bool = False) -> AppendResult:
        """Judge the attempt a last time if its commit may have taken effect, and stop."""
        is_unknown = may_have_landed or isinstance(self._last, Unknown)
        if is_unknown and (judgement := self.reload(deadline)) is not None:
            return judgement
        self._head.forget()
        cause = GiveUp.STAGING_FAILED if isinstance(self._last, NotSent) else GiveUp.OUT_OF_TIME
        return NotKnownToHaveLanded(cause, self.conflicts, self._last_error)

    @property
    def _is_stale(self) -> bool:
        """Whether the head has to be read before the next commit.

        A catalog vends credentials for the files with the table, and they expire. An old head may have been removed.
        """
        return isinstance(self._last, Unknown) or (isinstance(self._last, NotSent) and self._last.needs_load)

    @property
    def _last_error(self) -> str:
        return self._last.cause if self._last is not None else ""
