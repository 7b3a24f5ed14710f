"""Looks sales up in the table: each in the data files of its partition, all of which are found in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, cast

from more_itertools import chunked
from pyiceberg.expressions import AlwaysFalse, And, BooleanExpression, EqualTo, In, Or
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import FileScanTask, ManifestGroupPlanner, Table

from lambda_fn.sale import Sale, SaleKey

# The most ids in the filter of a file. With more, evaluating the filter would cost more than reading the file twice.
MAX_IDS_PER_FILTER: Final = 1000

_PARTITIONING: Final = ("tenant_id", "year", "month")
_SALE_ID: Final = "sale_id"
_partition_of: Final = attrgetter(*_PARTITIONING)
# mypy's pydantic plugin sees the fields of these models, not the constructors that they define.
_equal: Final[Callable[[str, Any], BooleanExpression]] = cast("Any", EqualTo)
_in: Final[Callable[[str, Sequence[str]], BooleanExpression]] = cast("Any", In)


@dataclass(frozen=True)
class Part:
    """Sales of one partition, the filter for their rows, and the data files that can hold these rows."""

    sales: Sequence[Sale]
    row_filter: BooleanExpression
    files: Sequence[FileScanTask]


def plan(table: Table, manifests: Sequence[ManifestFile], sales: Sequence[Sale]) -> list[Part]:
    """Find the data files to read. Reads each manifest at most once, however many partitions the sales have."""
    groups = [(members, _filter(members)) for members in _by_partition(sales)]
    any_of = Or(AlwaysFalse(), AlwaysFalse(), *(row_filter for _, row_filter in groups))
    schema = table.schema()
    # A partition spec may use one of the columns twice, or none of them, or other columns too.
    fields = {
        spec_id: [
            (position, name, field.transform.transform(schema.find_type(field.source_id)))
            for position, field in enumerate(spec.fields)
            if (name := schema.find_column_name(field.source_id)) in _PARTITIONING
        ]
        for spec_id, spec in table.specs().items()
    }
    files: dict[tuple[Any, ...], list[FileScanTask]] = defaultdict(list)
    for task in ManifestGroupPlanner(table.metadata, table.io, any_of).plan_files(manifests):
        spec_id = task.file.spec_id
        files[spec_id, *(task.file.partition[position] for position, _, _ in fields[spec_id])].append(task)
    return [
        Part(
            members,
            row_filter,
            [
                task
                for spec_id, used in fields.items()
                for task in files[spec_id, *(transform(getattr(members[0], name)) for _, name, transform in used)]
            ],
        )
        for members, row_filter in groups
    ]


def present(table: Table, part: Part) -> set[SaleKey]:
    """Return which of the sales have a row. Reads of a file its footer and the columns of the filter.

    A row that a positional delete file removes does not count.
    """
    if not part.files:
        return set()
    # Imports pyarrow's datasets, which a cold start has no time for.
    from pyiceberg.io.pyarrow import ArrowScan  # noqa: PLC0415

    columns = table.schema().select(_SALE_ID)
    rows = ArrowScan(table.metadata, table.io, columns, part.row_filter).to_table(part.files)
    return {SaleKey(part.sales[0].tenant_id, sale_id) for sale_id in rows[_SALE_ID].to_pylist()}


def _by_partition(sales: Sequence[Sale]) -> Iterator[list[Sale]]:
    for _, members in groupby(sorted(sales, key=_partition_of), key=_partition_of):
        yield from chunked(members, MAX_IDS_PER_FILTER)


def _filter(sales: Sequence[Sale]) -> BooleanExpression:
    partition = [_equal(name, getattr(sales[0], name)) for name in _PARTITIONING]
    return And(*partition, _in(_SALE_ID, [sale.sale_id for sale in sales]))
