"""How a lease changes."""

from __future__ import annotations

from lambda_fn.iceberg.group_commit.commit_queue import MAX_LANDED, Lease, Round

LEADER, ANOTHER = 1000, 2000
LEASE = Lease(7, LEADER, since=100.0, until=103.0, round_seconds=0.5, landed={11: ANOTHER, 12: ANOTHER})


def test_a_lease_is_taken_from_now_on() -> None:
    taken = Lease(8, ANOTHER, since=200.0, until=203.0, round_seconds=0.5, landed=LEASE.landed)
    assert LEASE.taken(ANOTHER, 200.0, 3.0) == taken


def test_a_round_frees_the_lease_and_names_what_has_landed() -> None:
    after = Lease(8, LEADER, since=100.0, until=0.0, round_seconds=0.7, landed={11: ANOTHER, 12: ANOTHER, 13: LEADER})
    assert LEASE.after(Round({13: LEADER}, [13], 0.7), now=101.0) == after


def test_a_leader_may_keep_its_lease() -> None:
    assert LEASE.after(Round(seconds=0.7, keep_seconds=10.0), now=101.0).until == 111.0


def test_a_round_without_a_commit_tells_nothing_of_the_usual_time() -> None:
    assert LEASE.after(Round(), now=101.0).round_seconds == 0.5
    assert LEASE.after(Round(seconds=0.0), now=101.0).round_seconds == 0.0


def test_a_lease_forgets_the_oldest_that_have_landed() -> None:
    landed = dict.fromkeys(range(100, 100 + MAX_LANDED - 1), LEADER)
    assert list(LEASE.after(Round(landed), now=101.0).landed) == [12, *landed]


def test_a_lease_names_all_of_the_last_group() -> None:
    landed = dict.fromkeys(range(100, 100 + MAX_LANDED + 5), LEADER)
    assert LEASE.after(Round(landed), now=101.0).landed == landed
