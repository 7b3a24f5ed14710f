"""Thousands of random runs, and every run of small configurations: no sale is lost and none is doubled.

The same harness has to catch variants of the protocol without one of its rules, and the usual designs without it.
"""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest

from tests.simulation.group_writers import WITHOUT_ONE_GROUP_RULE, MembersLandAfterTheirHistoryHasExpired
from tests.simulation.naive_writers import CheckAndSetReleasedOnFailure, CheckAndSetThenAppend
from tests.simulation.runs import (
    Failure,
    Scenario,
    ScenarioOf,
    directed,
    explore,
    random_group_scenario,
    random_scenario,
    replaying,
    run,
    run_seed,
    shrink,
)
from tests.simulation.world import World
from tests.simulation.writers import WITHOUT_ONE_RULE, GroupWriter, ImpatientGroupWriter, ProtocolWriter, WriterOf

SEEDS_PER_TEST = 500
CONTROL_SEEDS = 6000


@pytest.mark.parametrize("first", range(0, 10_000, SEEDS_PER_TEST))
def test_random_runs_have_no_violation(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        failure = run_seed(seed)
        assert failure is None, f"seed {seed}: {shrink(random_scenario(seed), failure)}"


@pytest.mark.parametrize("scenario_of", [random_scenario, random_group_scenario])
@pytest.mark.parametrize("first", range(0, 2_500, SEEDS_PER_TEST))
def test_random_runs_in_groups_have_no_violation(first: int, scenario_of: ScenarioOf) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        failure = run_seed(seed, GroupWriter, scenario_of=scenario_of)
        assert failure is None, f"seed {seed}: {shrink(scenario_of(seed), failure, GroupWriter)}"


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Scenario([[[1]], [[1]]], faults=1, maintenance=0), id="two-workers-one-fault"),
        pytest.param(Scenario([[[1]], [[1]]], faults=0, maintenance=2), id="two-workers-two-maintenance-events"),
        pytest.param(Scenario([[[1]]], faults=2, maintenance=1), id="one-worker-two-faults-one-maintenance-event"),
        pytest.param(
            Scenario([[[1, 2]], [[2]]], faults=0, maintenance=1), id="overlapping-batches-one-maintenance-event"
        ),
        pytest.param(
            Scenario([[[1]], [[1]]], faults=1, maintenance=0, version_before=frozenset({"P1"})), id="upgrade-one-fault"
        ),
        pytest.param(
            Scenario([[[1]], [[1]]], faults=1, maintenance=0, version_before=frozenset({"P2", "R"})),
            id="rollback-one-fault",
        ),
    ],
)
def test_no_run_of_a_small_configuration_has_a_violation(scenario: Scenario) -> None:
    exploration = explore(scenario)
    assert exploration.failure is None, str(exploration.failure)
    assert exploration.complete
    print(f"{exploration.runs} runs, {exploration.states} states")  # noqa: T201


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Scenario([[[1]]], faults=1, maintenance=1), id="one-worker-one-fault-one-maintenance-event"),
        pytest.param(Scenario([[[1]], [[1]]], faults=1, maintenance=0), id="two-workers-one-fault"),
        pytest.param(Scenario([[[1]], [[1]]], faults=0, maintenance=2, events=["leases_lapse"]), id="leases-lapse"),
    ],
)
def test_no_run_of_a_small_configuration_in_groups_has_a_violation(scenario: Scenario) -> None:
    exploration = explore(scenario, ImpatientGroupWriter)
    assert exploration.failure is None, str(exploration.failure)
    assert exploration.complete
    print(f"{exploration.runs} runs, {exploration.states} states")  # noqa: T201


def test_a_member_that_landed_unseen_does_not_land_again_once_its_snapshot_has_expired() -> None:
    scenario = Scenario([[[1]], [[2]], [[3]]], faults=1, maintenance=3)
    choose = partial(
        directed,
        "P2 until queries",
        "P1 until puts entry",
        "P1:go",
        "P2 until commits",
        "P2:CRASH_AFTER",
        "world:leases_lapse",
        "world:a_compaction_replaces_the_head",
        "world:snapshots_expire",
        "P3 until commits",
        "P3:go",
    )
    assert run(scenario, choose(), GroupWriter) is None
    failure = run(scenario, choose(), MembersLandAfterTheirHistoryHasExpired)
    assert failure is not None
    assert "sale 1 is DOUBLED" in failure.what


def test_a_claim_outlasts_31_days_between_a_commit_and_its_repetition() -> None:
    scenario = Scenario([[[1]], [[1]]], faults=1, maintenance=1)
    until_the_item = ["P1:go"] * 4
    failure = run(scenario, replaying([*until_the_item, "P1:CRASH_BEFORE", "world:a_month_passes"]))
    assert failure is None, str(failure)


@pytest.mark.parametrize("loss", ["the_guard_is_lost", "the_projection_is_lost", "the_projection_goes_back"])
def test_a_lost_store_doubles_no_sale_while_every_sale_is_looked_up(loss: str) -> None:
    scenario = Scenario([[[1]], [[2], [1]], [[1, 2]]], faults=0, maintenance=0, losses=1)
    for steps in range(24):
        failure = run(
            scenario, replaying([*(["P1:go"] * min(steps, 6)), *(["P2:go"] * (steps - 6)), f"operator:{loss}"])
        )
        assert failure is None, str(failure)


def first_failure(writer_of: WriterOf, scenario_of: ScenarioOf = random_scenario) -> tuple[int, Failure]:
    """Return the first seed with a failure of the writer, and the failure."""
    for seed in count():
        assert seed < CONTROL_SEEDS, f"{writer_of} did not fail in {CONTROL_SEEDS} runs"
        failure = run_seed(seed, writer_of, scenario_of=scenario_of)
        if failure is not None:
            return seed, failure
    raise AssertionError


@pytest.mark.parametrize(
    ("writer_of", "scenario_of", "complete"),
    [
        *((writer_of, random_scenario, ProtocolWriter) for writer_of in WITHOUT_ONE_RULE),
        *((writer_of, random_group_scenario, GroupWriter) for writer_of in WITHOUT_ONE_GROUP_RULE),
    ],
)
def test_the_simulation_notices_that_a_rule_is_missing(
    writer_of: type[ProtocolWriter], scenario_of: ScenarioOf, complete: type[ProtocolWriter]
) -> None:
    seed, failure = first_failure(writer_of, scenario_of)
    shortest = shrink(scenario_of(seed), failure, writer_of)
    print(f"seed {seed}: {shortest}")  # noqa: T201
    again = run(scenario_of(seed), replaying(shortest.choices), writer_of)
    assert again is not None
    assert again.what == shortest.what
    survived = run(scenario_of(seed), replaying(shortest.choices), complete)
    assert survived is None, f"the protocol does not survive the same choices: {survived}"


@pytest.mark.parametrize(
    ("writer_of", "word"), [(CheckAndSetThenAppend, "LOST"), (CheckAndSetReleasedOnFailure, "DOUBLED")]
)
def test_the_usual_designs_lose_or_double_sales(writer_of: WriterOf, word: str) -> None:
    for seed in range(CONTROL_SEEDS):
        failure = run_seed(seed, writer_of, World.lost_or_doubled)
        if failure is not None and word in failure.what:
            print(f"seed {seed}: {failure}")  # noqa: T201
            return
    raise AssertionError(f"no sale of {writer_of} was {word} in {CONTROL_SEEDS} runs")


def test_a_seed_replays_the_same_run() -> None:
    _, failure = first_failure(WITHOUT_ONE_RULE[0])
    seed, again = first_failure(WITHOUT_ONE_RULE[0])
    assert again == failure
    assert run(random_scenario(seed), replaying(failure.choices), WITHOUT_ONE_RULE[0]) == failure
