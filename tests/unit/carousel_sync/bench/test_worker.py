"""What is read from the log of an invocation."""

from __future__ import annotations

from carousel_sync.bench.worker import metric_in
from lambda_fn.ports import Metric


def test_conflicts_are_read_from_the_metrics_in_the_log() -> None:
    line = '{"_aws":{},"CommitConflicts":[2.0,1.0],"stage":"dev"}'
    log = f'{{"message":"CommitConflicts 7"}}\n{line}\nnot json\n{{"_aws":{{}},"CommitConflicts":4}}\n'
    assert metric_in(log, Metric.COMMIT_CONFLICTS) == 7
    assert metric_in("", Metric.COMMIT_CONFLICTS) == 0
