"""Sales that the stores know before the job: duplicates, conflicts, and claims of others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lambda_fn.guard.items import claimed_item
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.sale import Sale
from tests.builders import read
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.spark_jobs.contents import Contents, old, write_lines, young
from tests.engines.spark_jobs.job import Job

pytestmark = [pytest.mark.engine, ONE_PROCESS]

CONFLICT = "CONFLICTING_DUPLICATE"
STORED = [
    young("young-same"),
    young("young-other"),
    young("forgotten-same"),
    young("forgotten-other"),
    old("old-same", embedding=[0.5, 0.25]),
    old("old-other", embedding=[0.5, 0.25]),
    old("old-elsewhere"),
    old("old-without-currency"),
]
LOADED = [
    young("young-same"),
    young("young-other", salePrice=1),
    young("forgotten-same"),
    young("forgotten-other", salePrice=1),
    old("old-same", embedding=[0.5, 0.25]),
    old("old-other", embedding=[0.5, 0.5]),
    old("old-elsewhere") | {"detail": {**old("old-elsewhere")["detail"], "soldDate": "2018-01-31"}},
    # The row does not show whether its writer knew the currency.
    old("old-without-currency", currency="EUR"),
    young("held"),
    old("new"),
]
REJECTED = ["forgotten-other", "old-elsewhere", "old-other", "young-other"]


def test_the_first_facts_of_a_sale_stay_and_claims_of_others_are_left_alone(job: Job, tmp_path: Path) -> None:
    contents = Contents(job.stores)
    assert contents.deliver(contents.function(), STORED) == []
    before = contents.rows()
    dynamodb = contents.client("dynamodb")
    for sale_id, claim in contents.claims().items():
        if sale_id.startswith("forgotten"):
            key = {name: claim[name] for name in ("pk", "sk")}
            dynamodb.delete_item(TableName=job.stores.guard_table, Key=key)
    held = read(young("held"))
    assert isinstance(held, Sale)
    # Long enough that the job finds it held in its first pass.
    claim = claimed_item(held.key, held.facts, 7, NO_SNAPSHOT, time.time(), lease_seconds=45)
    dynamodb.put_item(TableName=job.stores.guard_table, Item=claim)

    report = job.run(write_lines(tmp_path / "history.jsonl", LOADED), exit_code=1)

    assert (report["landed"], report["duplicates"], report["not_stored"]) == (2, len(LOADED) - 2 - len(REJECTED), 0)
    assert report["rejected"] == {CONFLICT: len(REJECTED)}
    assert [record["reason"] for record in job.rejected()] == [CONFLICT] * len(REJECTED)
    named = [next(sale_id for sale_id in REJECTED if f'"{sale_id}"' in record["text"]) for record in job.rejected()]
    assert sorted(named) == REJECTED
    assert [row for row in contents.rows() if row["sale_id"] not in ("held", "new")] == before
    assert contents.verified().consistent
    assert {claim["status"]["S"] for claim in contents.claims().values()} == {"COMPLETED"}
