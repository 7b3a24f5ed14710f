"""The rows of an Iceberg table, counted again and again while it grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table

_IDENTITY: Final = ("tenant_id", "sale_id")


class TableRows:
    """Counts the rows of sales. Manifests and data files never change, so it reads each of them once."""

    def __init__(self) -> None:
        self._files: dict[str, Sequence[str]] = {}
        self._sales: dict[str, Sequence[tuple[str, str]]] = {}

    def count(self, table: Table, tenant: str) -> Counter[str]:
        """Return the number of rows of each of a tenant's sales in the current snapshot."""
        return Counter(
            sale_id
            for path in self._live_files(table)
            for owner, sale_id in self._sales_of(path, table.io)
            if owner == tenant
        )

    def _live_files(self, table: Table) -> Iterator[str]:
        head = table.current_snapshot()
        for manifest in head.manifests(table.io) if head is not None else ():
            path = manifest.manifest_path
            if path not in self._files:
                self._files[path] = _data_files(manifest, table.io)
            yield from self._files[path]

    def _sales_of(self, path: str, io: FileIO) -> Sequence[tuple[str, str]]:
        if path not in self._sales:
            with io.new_input(path).open() as stream:
                content = pa.BufferReader(stream.read())
            columns = pq.read_table(content, columns=list(_IDENTITY))
            self._sales[path] = list(zip(*(columns[name].to_pylist() for name in _IDENTITY), strict=True))
        return self._sales[path]


def _data_files(manifest: ManifestFile, io: FileIO) -> Sequence[str]:
    assert manifest.content is ManifestContent.DATA, "row-level deletes would have to be applied"
    return [entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io)]
