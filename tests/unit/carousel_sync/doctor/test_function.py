"""The doctor warns while the function looks every sale up in the table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from carousel_sync.doctor.finding import Status
from carousel_sync.doctor.function import sale_look_up


@pytest.mark.parametrize(("switched_on", "status"), [(False, Status.OK), (True, Status.WARNING)])
def test_the_look_up_of_every_sale_is_for_a_repair_only(switched_on: bool, status: Status) -> None:
    stage: Any = SimpleNamespace(settings=SimpleNamespace(look_up_every_sale=switched_on))
    finding = sale_look_up(stage)
    assert finding.status is status
    assert ("LookUpEverySale=false" in finding.remedy) == switched_on
