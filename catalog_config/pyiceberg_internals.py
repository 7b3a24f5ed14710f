"""Every use of pyiceberg's private names, in one place.

pyiceberg offers no public way to do these things. tests/contract/test_pyiceberg_internals.py fails when a version of
pyiceberg changes them, and tests/architecture/test_pyiceberg_internals.py when another module uses private names.
"""

from __future__ import annotations

from collections.abc import Callable

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Transaction
from pyiceberg.table.update import TableRequirement, TableUpdate
from requests import Session
from requests.adapters import BaseAdapter

WrapAdapter = Callable[[BaseAdapter], BaseAdapter]


class AdaptedRestCatalog(RestCatalog):
    """pyiceberg's REST catalog, whose HTTP adapters are wrapped.

    The constructor already asks the catalog for its configuration. So the adapters have to be wrapped where the
    session is created.
    """

    def __init__(self, name: str, wrap_adapter: WrapAdapter, /, **properties: str) -> None:
        self._wrap_adapter = wrap_adapter
        super().__init__(name, **properties)

    def _create_session(self) -> Session:
        session = super()._create_session()
        for prefix, adapter in list(session.adapters.items()):
            session.mount(prefix, self._wrap_adapter(adapter))
        return session


def pending_commit(transaction: Transaction) -> tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]:
    """Return the requirements and the updates that a transaction has collected and not committed."""
    return transaction._requirements, transaction._updates
