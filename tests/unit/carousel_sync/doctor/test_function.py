"""The doctor warns while the function looks every sale up in the table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from carousel_sync.doctor.finding import Fault, Status
from carousel_sync.doctor.function import sale_look_up


@pytest.mark.parametrize("switched_on", [False, True])
def test_the_look_up_of_every_sale_is_for_a_repair_only(switched_on: bool) -> None:
    stage: Any = SimpleNamespace(settings=SimpleNamespace(look_up_every_sale=switched_on))
    faults = [fault for fault in sale_look_up(stage) if isinstance(fault, Fault)]
    assert [(fault.status, "LookUpEverySale=false" in fault.remedy) for fault in faults] == (
        [(Status.WARNING, True)] if switched_on else []
    )
