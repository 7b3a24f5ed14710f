"""During an outage the function answers in time and gives back only what it must. After it, everything drains.

python -m tests.faults.outage prints the same figures.
"""

from __future__ import annotations

import pytest

from carousel_sync.bench.worker import metric_in
from lambda_fn.ports import Metric
from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.figures import print_table
from tests.faults.harness.naive_writer import mark_first
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.outage import OUTAGES, Outage, run_outage
from tests.faults.wire import Shape, in_groups


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_the_function_survives_an_outage(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int, outage: Outage, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_outage(stores, proxy, outage, seed)
    measured = metric_in(capsys.readouterr().out, Metric.GIVEN_BACK)
    print_table(result.row())
    assert result.failed > 0
    assert result.slowest_seconds < outage.invocation_seconds
    assert result.figures.problems == {}
    assert result.unnecessary == []
    assert result.drained_after == 1
    # The alarm SalesGivenBack has to see each outage in which sales or dead letters wait.
    given_back = result.sales_given_back + result.letters_given_back
    assert measured >= given_back
    assert (measured > 0) == (given_back > 0)
    assert measured > 0 or outage.sales_pass is not False


@pytest.mark.engine
@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name)
def test_the_function_survives_an_outage_in_group_commit(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int, outage: Outage
) -> None:
    result = run_outage(stores, proxy, outage, seed, in_groups)
    print_table(result.row())
    assert result.failed > 0
    assert result.slowest_seconds < outage.invocation_seconds
    assert result.figures.problems == {}
    assert result.unnecessary == []
    assert result.drained_after == 1


def test_a_writer_that_marks_first_is_caught_losing_sales(
    stores: StoresUnderTest, proxy: FaultProxy, seed: int
) -> None:
    refusing = next(outage for outage in OUTAGES if outage.name == "Catalog refuses connections")
    result = run_outage(stores, proxy, refusing, seed, mark_first, Shape.DIRECT)
    print_table(result.row())
    assert len(result.figures.lost) > 0
