"""The judgement of a commit, for every result and every history, over a store that does what its test says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lambda_fn.errors import OutOfTime, StoreUnavailable, TableMissing
from lambda_fn.iceberg.store import CommitResult, Committed, MergeResult, NotSent, Unknown
from lambda_fn.ports import Claimed, GiveUp, Landed, ManifestMerge, NotKnownToHaveLanded, Resolution
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.unit.lambda_fn.iceberg.table_store import (
    ANOTHER,
    ATTEMPT,
    FIRST,
    LOST,
    REQUEST_SECONDS,
    SECOND,
    State,
    Store,
    a_sale,
    fencing,
    table,
)

# --- 2. the pin ------------------------------------------------------------------------------------------------------


def test_the_first_attempt_loads_the_head_and_the_next_pins_it_without_a_request() -> None:
    store = Store([FIRST, SECOND])
    sales = store.table()
    first, second = sales.begin(ATTEMPT, store.soon()), sales.begin(ANOTHER, store.soon())
    assert (first.attempt_id, first.pin) == (ATTEMPT, 1)
    assert (second.attempt_id, second.pin) == (ANOTHER, 1)
    assert store.calls == ["load, knowing None"]


def test_a_head_that_can_not_be_loaded_is_tried_three_times() -> None:
    store = Store([StoreUnavailable("1"), StoreUnavailable("2"), TableMissing("t", "c"), FIRST])
    with pytest.raises(TableMissing):
        store.table().begin(ATTEMPT, store.soon())
    assert len(store.calls) == 3


def test_a_head_that_can_be_loaded_in_the_third_try_is_pinned() -> None:
    store = Store([StoreUnavailable("1"), StoreUnavailable("2"), FIRST])
    assert store.table().begin(ATTEMPT, store.soon()).pin == 1


def test_no_head_is_loaded_without_time() -> None:
    store = Store([FIRST])
    with pytest.raises(OutOfTime, match=r"^No time is left to read the table's head; the sales stay in the queue\.$"):
        store.table().begin(ATTEMPT, store.soon(REQUEST_SECONDS - 0.01))
    assert store.calls == []


def test_a_missing_column_is_looked_for_in_the_newest_head_which_is_pinned() -> None:
    with_currency, without = sale(sale_id="a", currency="EUR"), a_sale("b")
    store = Store([table(1, missing_facts=("currency",)), table(1, 2, missing_facts=("currency",))])
    attempt = store.table().begin(ATTEMPT, store.soon())
    assert attempt.columns_missing([without], store.soon()) == {}
    assert (attempt.pin, len(store.calls)) == (1, 1)
    assert attempt.columns_missing([with_currency, without], store.soon()) == {with_currency.key: ["currency"]}
    assert (attempt.pin, len(store.calls)) == (2, 2)


def test_a_column_that_was_added_since_is_not_missing() -> None:
    store = Store([table(1, missing_facts=("currency",)), SECOND])
    attempt = store.table().begin(ATTEMPT, store.soon())
    assert attempt.columns_missing([sale(currency="EUR")], store.soon()) == {}
    assert attempt.pin == 2


# --- 5. resolving ----------------------------------------------------------------------------------------------------


def claim(sale_id: str, base: int, *earlier_attempts: int) -> Claimed:
    return Claimed(a_sale(sale_id), base, earlier_attempts)


def resolve(store: Store, *claims: Claimed, unvouched: Sequence[Sale] = ()) -> Resolution | GiveUp:
    return store.table().begin(ATTEMPT, store.soon()).resolve(claims, unvouched, store.soon())


def test_a_taken_over_sale_has_not_landed_if_a_complete_history_shows_no_attempt() -> None:
    store = Store([FIRST, SECOND], rows={"a"})
    assert resolve(store, claim("a", 1, 77)) == Resolution({})
    assert store.calls == ["load, knowing None", "load, knowing 1"], "nothing is scanned"


def test_the_row_decides_if_an_earlier_attempt_has_landed() -> None:
    store = Store([FIRST, table(1, 77, 78)], rows={"a"})
    claims = claim("a", 1, 77, 78), claim("b", 1, 77), claim("c", 77, 77)
    assert resolve(store, *claims) == Resolution({a_sale("a").key: 78})
    assert store.calls[-1] == "scan a b on 78"


def test_the_row_decides_if_the_history_does_not_reach_the_base() -> None:
    store = Store([table(1, 2, 3), table(1, 2, 3, expired={2})], rows={"a"})
    assert resolve(store, claim("a", 1, 77), claim("b", 3, 77)) == Resolution({a_sale("a").key: None})
    assert store.calls[-1] == "scan a on 3"


def test_the_row_decides_past_the_retention() -> None:
    store = Store([FIRST], rows={"a"})
    assert resolve(store, unvouched=[a_sale("a"), a_sale("b")]) == Resolution({a_sale("a").key: None})
    assert store.calls[-1] == "scan a b on 1"


def test_a_sale_that_could_not_be_looked_up_is_undecided() -> None:
    store = Store([FIRST], rows={"a"}, unreadable={"b"})
    expected = Resolution({a_sale("a").key: None}, {a_sale("b").key: "unreadable"})
    assert resolve(store, unvouched=[a_sale("a"), a_sale("b"), a_sale("c")]) == expected


def test_nothing_is_scanned_without_time() -> None:
    store = Store([FIRST])
    attempt = store.table().begin(ATTEMPT, store.soon())
    store.load_takes = REQUEST_SECONDS
    with pytest.raises(
        OutOfTime, match=r"^No time is left to look the sales up in the table; they stay in the queue\.$"
    ):
        attempt.resolve([], [a_sale()], store.soon(1.9 * REQUEST_SECONDS))
    assert "scan" not in store.calls[-1]


@pytest.mark.parametrize(
    ("newer", "cause"),
    [
        (table(1, fencing(2, ATTEMPT), 3), GiveUp.FENCED),
        (table(1, 2, 3, expired={2}), GiveUp.HISTORY_EXPIRED),
        (table(1, 2, fencing(3, ATTEMPT), expired={2}), GiveUp.FENCED),
    ],
)
def test_an_attempt_gives_up_if_it_is_fenced_or_can_not_know(newer: State, cause: GiveUp) -> None:
    store = Store([FIRST, newer], rows={"a"})
    assert resolve(store, claim("a", 3, 77), unvouched=[a_sale("b")]) is cause
    assert "scan" not in store.calls[-1]


def test_an_append_is_on_the_head_that_was_resolved() -> None:
    store = Store([FIRST, SECOND], [Committed(table(1, 2, ATTEMPT))])
    attempt = store.table().begin(ATTEMPT, store.soon())
    attempt.resolve([claim("a", 1, 77)], [], store.soon())
    attempt.append([a_sale()], {77}, store.soon())
    assert store.calls[-1] == "commit a on 2"
    assert attempt.pin == 1


# --- 6. and 7. commit and judge --------------------------------------------------------------------------------------


def append(store: Store, *fenced: int, seconds: float = 60.0) -> Landed | NotKnownToHaveLanded:
    return store.table().begin(ATTEMPT, store.soon()).append([a_sale()], fenced, store.soon(seconds))


def test_a_confirmed_commit_has_landed_and_its_head_is_pinned_next() -> None:
    store = Store([FIRST], [Committed(table(1, ATTEMPT))])
    sales = store.table()
    assert sales.begin(ATTEMPT, store.soon()).append([a_sale()], {7, 8}, store.soon()) == Landed(ATTEMPT)
    assert sales.begin(ANOTHER, store.soon()).pin == ATTEMPT
    assert store.calls == ["load, knowing None", "stage a on 1", "commit a on 1"]
    assert store.staged_by == [ATTEMPT]
    assert store.fenced == [{7, 8}]


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (table(1, ATTEMPT), Landed(ATTEMPT, 1)),
        (table(1, ATTEMPT, 2, 3), Landed(ATTEMPT, 1)),
        (table(1, ATTEMPT, fencing(3, ATTEMPT)), Landed(ATTEMPT, 1)),
        (table(1, 2, ATTEMPT, expired={2}), Landed(ATTEMPT, 1)),
        (table(1, fencing(2, 5, ATTEMPT), 3), NotKnownToHaveLanded(GiveUp.FENCED, 1)),
        (table(1, 77, 3), NotKnownToHaveLanded(GiveUp.EARLIER_ATTEMPT_LANDED, 1)),
        (table(1, 2, 3, expired={2}), NotKnownToHaveLanded(GiveUp.HISTORY_EXPIRED, 1)),
        (StoreUnavailable("no response"), NotKnownToHaveLanded(GiveUp.HEAD_UNREADABLE, 1)),
    ],
)
def test_an_unknown_commit_is_judged_from_the_history(
    found: State | StoreUnavailable, result: Landed | NotKnownToHaveLanded
) -> None:
    store = Store([FIRST, found], [LOST])
    assert append(store, 76, 77) == result
    assert store.calls.count("commit a on 1") == 1


def test_a_commit_that_has_not_landed_is_sent_again_on_the_head_just_judged() -> None:
    store = Store([FIRST, SECOND, table(1, 2, 3)], [LOST, LOST, Committed(table(1, 2, 3, ATTEMPT))])
    assert append(store, 77) == Landed(ATTEMPT, conflicts=2)
    assert store.calls == [
        "load, knowing None",
        "stage a on 1",
        "commit a on 1",
        "load, knowing 1",
        "commit a on 2",
        "load, knowing 2",
        "commit a on 3",
    ]
    assert [set(fenced) for fenced in store.fenced] == [{77}] * 3


def test_only_the_history_since_the_last_judgement_counts() -> None:
    store = Store([table(1, 77), table(1, 77, 3)], [LOST, Committed(table(1, 77, 3, ATTEMPT))])
    assert append(store, 77) == Landed(ATTEMPT, conflicts=1)


def test_files_of_an_old_schema_are_staged_again() -> None:
    changed = table(1, 2, schema=1)
    store = Store([FIRST, changed], [LOST, Committed(table(1, 2, ATTEMPT))])
    assert append(store) == Landed(ATTEMPT, conflicts=1)
    assert store.calls[-2:] == ["stage a on 2", "commit a on 2"]
    assert store.staged_by == [ATTEMPT, ATTEMPT]


def test_a_commit_that_was_not_sent_is_no_conflict_and_needs_no_judgement() -> None:
    store = Store([FIRST], [NotSent("storage"), NotSent("storage"), Committed(table(1, ATTEMPT))])
    assert append(store) == Landed(ATTEMPT)
    assert [call for call in store.calls if call.startswith("load")] == ["load, knowing None"]


def test_credentials_that_are_refused_are_loaded_again_with_the_table() -> None:
    refused = NotSent("ExpiredToken", access_denied=True)
    store = Store([FIRST, SECOND], [refused, Committed(table(1, 2, ATTEMPT))])
    assert append(store) == Landed(ATTEMPT)
    assert store.calls[-2:] == ["load, knowing 1", "commit a on 2"]


def test_an_attempt_whose_pin_was_removed_with_its_files_gives_up_at_once() -> None:
    removed = NotSent("FileNotFoundError: snap-1.avro", file_missing=True)
    store = Store([FIRST, table(77)], [removed])
    assert append(store) == NotKnownToHaveLanded(GiveUp.HISTORY_EXPIRED, detail=removed.cause)
    assert store.calls.count("commit a on 1") == 1


def test_the_head_that_comes_with_new_credentials_is_judged() -> None:
    store = Store([FIRST, table(1, fencing(2, ATTEMPT))], [NotSent("ExpiredToken", access_denied=True)])
    assert append(store) == NotKnownToHaveLanded(GiveUp.FENCED)
    assert store.calls.count("commit a on 1") == 1


@pytest.mark.parametrize(
    ("states", "commit", "detail"),
    [
        ([FIRST], NotSent("AccessDenied"), "AccessDenied"),
        ([FIRST], Unknown("409"), "409"),
        ([FIRST, table(1, fencing(2, ATTEMPT))], LOST, LOST.cause),
        ([FIRST, table(1, 77)], LOST, LOST.cause),
        ([FIRST, StoreUnavailable("503")], LOST, "503"),
    ],
)
def test_an_append_that_fails_reports_the_last_error(
    states: list[State | StoreUnavailable], commit: CommitResult[State], detail: str
) -> None:
    result = append(Store(states, [commit]), 77, seconds=7.0)
    assert isinstance(result, NotKnownToHaveLanded)
    assert result.detail == detail
    assert str(result) == f"{result.cause.value}: {detail}"


@pytest.mark.parametrize(
    ("last", "seconds", "result", "judgements"),
    [
        (NotSent("storage"), 7.0, NotKnownToHaveLanded(GiveUp.STAGING_FAILED), 0),
        (LOST, 4.5, NotKnownToHaveLanded(GiveUp.OUT_OF_TIME, conflicts=1), 1),
        (LOST, 3.9, NotKnownToHaveLanded(GiveUp.OUT_OF_TIME), 0),
    ],
)
def test_an_append_that_runs_out_of_time_makes_the_next_attempt_load_the_head(
    last: CommitResult[State], seconds: float, result: NotKnownToHaveLanded, judgements: int
) -> None:
    store = Store([FIRST], [last])
    sales = store.table()
    assert sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon(seconds)) == result
    assert store.calls.count("load, knowing 1") == judgements
    sales.begin(ANOTHER, store.soon())
    assert store.calls[-1] == "load, knowing None"


def test_a_last_commit_that_is_unknown_is_judged_once_more() -> None:
    store = Store([FIRST, table(1, ATTEMPT)], [LOST])
    assert append(store, seconds=4.5) == Landed(ATTEMPT, conflicts=1)
    assert store.calls[-1] == "load, knowing 1"


def test_an_unreadable_head_makes_the_next_attempt_load_it() -> None:
    store = Store([FIRST, *[StoreUnavailable("no response")] * 3, SECOND], [LOST])
    sales = store.table()
    result = sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    assert result == NotKnownToHaveLanded(GiveUp.HEAD_UNREADABLE, 1)
    assert sales.begin(ANOTHER, store.soon()).pin == 2


# --- files ahead -----------------------------------------------------------------------------------------------------


def test_the_same_sales_are_staged_once() -> None:
    store = Store([FIRST], [Committed(table(1, ATTEMPT))])
    attempt = store.table().begin(ATTEMPT, store.soon())
    attempt.stage([a_sale()])
    assert store.calls[1:] == ["stage a on 1"]
    attempt.prepare([a_sale()], store.soon())
    attempt.append([a_sale()], (), store.soon())
    assert store.calls[1:] == ["stage a on 1", "upload a on 1", "commit a on 1"]


def test_other_sales_are_staged_again() -> None:
    store = Store([FIRST], [Committed(table(1, ATTEMPT))])
    attempt = store.table().begin(ATTEMPT, store.soon())
    attempt.prepare([a_sale("a"), a_sale("b")], store.soon())
    attempt.append([a_sale("b")], (), store.soon())
    assert store.calls[1:] == ["stage a b on 1", "upload a b on 1", "stage b on 1", "commit b on 1"]


# --- merging manifests -----------------------------------------------------------------------------------------------


def test_only_a_process_that_has_just_committed_merges() -> None:
    """The manifests of any other head are those of the past: the merge would read them all, and be refused."""
    store = Store([FIRST], [Committed(SECOND)], merge=MergeResult(7, NotSent("storage")))
    sales = store.table()
    assert sales.merge_manifests(store.soon()) is None
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    sales.begin(ANOTHER, store.soon())
    assert sales.merge_manifests(store.soon()) is None
    assert not any(call.startswith("merge") for call in store.calls)


def test_a_process_merges_once_after_its_commit() -> None:
    store = Store([FIRST], [Committed(SECOND)])
    sales = store.table()
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    for _ in range(2):
        assert sales.merge_manifests(store.soon()) is None
    assert store.calls.count("merge on 2") == 1


@pytest.mark.parametrize(
    ("result", "merge", "loads"),
    [
        (None, None, False),
        (MergeResult(7, Committed(table(1, 2, 3))), ManifestMerge(7), False),
        (MergeResult(7, NotSent("storage")), ManifestMerge(7, "storage"), False),
        (MergeResult(7, NotSent("storage", access_denied=True)), ManifestMerge(7, "storage"), True),
        (MergeResult(7, NotSent("storage", file_missing=True)), ManifestMerge(7, "storage"), True),
        (MergeResult(7, Unknown("409")), ManifestMerge(7, "409"), True),
    ],
)
def test_the_next_attempt_pins_the_head_after_a_merge(
    result: MergeResult[State] | None, merge: ManifestMerge | None, loads: bool
) -> None:
    store = Store([FIRST], [Committed(SECOND)], merge=result)
    sales = store.table()
    sales.begin(ATTEMPT, store.soon()).append([a_sale()], (), store.soon())
    store.calls.clear()
    assert sales.merge_manifests(store.soon()) == merge
    pin = sales.begin(ANOTHER, store.soon()).pin
    assert store.calls == ["merge on 2", *(["load, knowing None"] if loads else [])]
    assert pin == (3 if merge == ManifestMerge(7) else 1 if loads else 2)
