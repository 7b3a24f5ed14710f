"""A table with sales whose embeddings are compared, and their similarity computed without an engine."""

from __future__ import annotations

import math
import random
from array import array
from typing import Final

from lambda_fn.fields import Vector
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.tables import TableUnderTest

TENANT: Final = "tenant's 0"
"""The tenant that tests ask about. Its name has a quote."""
OTHER_TENANT: Final = "tenant-1"
DIMENSION: Final = 64
GIVEN: Final = "given"
"""The sale that the others are compared with."""
PRECISION: Final = 1e-12
"""The difference between two sums of doubles in a different order, with room to spare."""


def sales_with_embeddings() -> list[Sale]:
    """Return sales of two tenants. Not all of them can be compared with the given sale."""
    chosen = random.Random(20251231)

    def vector(dimension: int = DIMENSION) -> Vector:
        return array("f", [chosen.gauss(0, 1) for _ in range(dimension)])

    given = vector()
    embeddings: dict[str, Vector | None] = {f"sale-{number:03}": vector() for number in range(60)}
    embeddings |= {
        GIVEN: given,
        "the same": given,
        "twice as long": array("f", [2 * value for value in given]),
        "opposite": array("f", [-value for value in given]),
        "tiny": array("f", [value * 1e-30 for value in vector()]),
        "zeros": array("f", [0.0] * DIMENSION),
        "without": None,
        "short": vector(8),
        "short too": vector(8),
        "shortest": vector(4),
    }
    own = [
        sale(tenant_id=TENANT, sale_id=name, embedding=embedding, brand="[red]Gucci")
        for name, embedding in embeddings.items()
    ]
    return [*own, sale(tenant_id=OTHER_TENANT, sale_id="of another tenant", embedding=given)]


LEFT_OUT: Final = 3
"""How many sales of the tenant have an embedding of another dimension than the given sale."""


def write(table: TableUnderTest, sales: list[Sale]) -> None:
    """Append the sales in one snapshot."""
    deadline = Deadline.after(SystemClock(), 300)
    assert isinstance(table.writer().begin(1001, deadline).append(sales, (), deadline), Landed)


def similarities(sales: list[Sale], sale_id: str) -> dict[str, float]:
    """Return the similarity of every sale of the tenant that can be compared with a sale."""
    own = {each.sale_id: each.embedding for each in sales if each.tenant_id == TENANT and each.embedding}
    given = own.pop(sale_id)
    comparable = {name: vector for name, vector in own.items() if len(vector) == len(given) and any(vector)}
    return {name: _product(vector, given) / _length(vector) / _length(given) for name, vector in comparable.items()}


def _product(left: Vector, right: Vector) -> float:
    return math.fsum(one * other for one, other in zip(left, right, strict=True))


def _length(vector: Vector) -> float:
    return math.sqrt(_product(vector, vector))
