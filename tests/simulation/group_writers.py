"""Writers that always commit in groups, each without one rule of group commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from lambda_fn.iceberg.append import Append
from lambda_fn.iceberg.group_commit.commit_queue import QueueEntry
from lambda_fn.iceberg.group_commit.group import Group, GroupCommit, judge_entries
from lambda_fn.iceberg.history import SnapshotNode
from tests.simulation.world import SimulatedTableStore, Staged, State
from tests.simulation.writers import GroupWriter, SimulatedTable, blank

SimulatedAppend = Append[State, Staged]
SimulatedGroupCommit = GroupCommit[State, Staged]


class _Variant(GroupWriter):
    """Judges the entries of the queue by :meth:`judge`."""

    def table(self) -> SimulatedTable:
        table, judge_of = super().table(), self.judge

        class Judge(SimulatedGroupCommit):
            def _judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
                return judge_of(entries, append)

        queue = self.queue()
        assert queue is not None
        table.group_commit = Judge(self.store(), queue, table, self.retry)
        return table

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        """Judge as the protocol does."""
        return self.judge_as_of(entries, append, append.judged)

    def judge_as_of(self, entries: Collection[QueueEntry], append: SimulatedAppend, state: State) -> Group:
        """Judge as the protocol does, as of another state."""
        return judge_entries(entries, append.attempt_id, append.fenced, state, self.store(), self.clock.now())


class LandedMembersLandAgain(_Variant):
    """A leader does not look whether a member has landed."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        group = super().judge(entries, append)
        group.members += [entry for entry in entries if entry.attempt_id in group.landed]
        return group


class FencedMembersLand(_Variant):
    """A leader does not look whether a member was fenced."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        return self.judge_as_of(entries, append, _with_nodes(append.judged, _without_fences(append.judged)))


class MembersOfLandedAttemptsLand(_Variant):
    """A leader does not look whether an attempt that a member fences has landed."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        by_attempt = {entry.attempt_id: entry for entry in entries}
        group = super().judge([replace(entry, fenced=frozenset()) for entry in entries], append)
        members, group.members = group.members, []
        fenced = set(append.fenced)
        together = {append.attempt_id}
        for entry in (by_attempt[member.attempt_id] for member in members):
            if entry.attempt_id not in fenced and entry.fenced.isdisjoint(together):
                group.members.append(entry)
                together.add(entry.attempt_id)
                fenced |= entry.fenced
        group.fenced = frozenset(fenced)
        return group


class FencersAndFencedTogether(_Variant):
    """A leader takes an attempt and one that fences it into the same group."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        group = super().judge(entries, append)
        taken = {append.attempt_id, *group.landed, *group.hopeless, *(entry.attempt_id for entry in group.members)}
        group.members += [entry for entry in entries if entry.attempt_id not in taken]
        group.fenced = frozenset().union(*(entry.fenced for entry in group.members))
        return group


class _ListsTheLeaderOnly(SimulatedTableStore):
    def listed(self, members: Sequence[tuple[int, str]]) -> list[int]:
        return []


class OnlyTheLeaderListed(_Variant):
    """The summary does not list the members."""

    def store(self) -> SimulatedTableStore:
        return _ListsTheLeaderOnly(self.world, self.process, self.clock)


class OnlyTheLeadersFencesWritten(_Variant):
    """The summary has the leader's fences only."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        group = super().judge(entries, append)
        group.fenced = frozenset()
        return group


class MembersLandAfterTheirHistoryHasExpired(_Variant):
    """A leader treats history that has expired as history in which nothing happened."""

    def judge(self, entries: Collection[QueueEntry], append: SimulatedAppend) -> Group:
        history = self.world.history
        known = append.judged.snapshots
        nodes = {key: known.get(key) or blank(snapshot.node) for key, snapshot in history.items()}
        return self.judge_as_of(entries, append, _with_nodes(append.judged, nodes))


class _ListsAnyManifest(SimulatedTableStore):
    def can_list(self, state: State, manifest: str) -> bool:
        return True


class MembersOfAnotherSchemaLand(_Variant):
    """A leader does not compare a member's schema with the table's."""

    def store(self) -> SimulatedTableStore:
        return _ListsAnyManifest(self.world, self.process, self.clock)


def _with_nodes(state: State, nodes: Mapping[int, SnapshotNode]) -> State:
    return replace(state, snapshots=nodes)


def _without_fences(state: State) -> Mapping[int, SnapshotNode]:
    return {key: replace(node, fenced=frozenset()) for key, node in state.snapshots.items()}


# MembersLandAfterTheirHistoryHasExpired needs six events in one order, which random runs hardly ever meet.
WITHOUT_ONE_GROUP_RULE: Final[Sequence[type[GroupWriter]]] = (
    LandedMembersLandAgain,
    FencedMembersLand,
    MembersOfLandedAttemptsLand,
    FencersAndFencedTogether,
    OnlyTheLeaderListed,
    OnlyTheLeadersFencesWritten,
    MembersOfAnotherSchemaLand,
)
