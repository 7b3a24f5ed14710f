"""The corpus: deliveries of every sort, each with the required result."""

from __future__ import annotations

from typing import Final

from tests.poison import bad_fields, not_a_sale, not_json, odd_but_valid
from tests.poison.entry import Entry

CORPUS: Final[tuple[Entry, ...]] = (
    *not_json.entries(),
    *not_a_sale.entries(),
    *bad_fields.entries(),
    *odd_but_valid.entries(),
)
