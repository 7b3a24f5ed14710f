"""Fixtures: a stack for each test module that examines everything that is stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import LocalStack
from tests.integration.carousel_sync.consistency.damage import Stores


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that only this module's tests write to."""
    with LocalStack(tmp_path_factory.mktemp("own-stack")) as stack:
        stack.up()
        yield stack


@pytest.fixture
def stores(own_stack: LocalStack) -> Iterator[Stores]:
    """The stack's stores, which must agree when the test is over."""
    found = Stores(own_stack)
    yield found
    assert verify_target(found.target).consistent
