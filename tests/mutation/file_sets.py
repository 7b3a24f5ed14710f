"""The files that are mutated, and the fast tests that must detect each mutation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class FileSet:
    """Files that share their tests. ``skipped`` are tests that take too long to run once for each mutant."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    skipped: tuple[str, ...] = ()


FILE_SETS: Final = (
    FileSet(
        "retry",
        ("lambda_fn/runtime/retry.py",),
        ("tests/unit/lambda_fn/runtime/test_retry.py",),
    ),
    FileSet(
        "guard",
        ("lambda_fn/guard/guard_table.py", "lambda_fn/guard/items.py"),
        (
            "tests/contract/dynamodb/test_guard.py",
            "tests/contract/dynamodb/test_guard_answers.py",
            "tests/contract/dynamodb/test_guard_faults.py",
        ),
        ("test_the_guard_holds_under_any_faults",),
    ),
    FileSet(
        "use-case",
        ("lambda_fn/sync_sales.py", "lambda_fn/process_deliveries.py"),
        (
            "tests/unit/lambda_fn/sync_sales/test_sync_sales.py",
            "tests/unit/lambda_fn/sync_sales/test_failures.py",
            "tests/unit/lambda_fn/sync_sales/test_telemetry.py",
            "tests/unit/lambda_fn/sync_sales/test_waiting.py",
            "tests/unit/lambda_fn/test_process_deliveries.py",
        ),
        ("test_no_combination_breaks_the_order_of_the_protocol",),
    ),
    FileSet(
        "snapshots",
        (
            "lambda_fn/iceberg/failures.py",
            "lambda_fn/iceberg/memory_file.py",
            "lambda_fn/iceberg/snapshots.py",
        ),
        (
            "tests/unit/lambda_fn/iceberg/test_failures.py",
            "tests/unit/lambda_fn/iceberg/test_memory_file.py",
            "tests/unit/lambda_fn/iceberg/test_snapshots.py",
        ),
    ),
    FileSet(
        "columns",
        (
            "lambda_fn/iceberg/arrow_schema.py",
            "lambda_fn/iceberg/column_metrics.py",
            "lambda_fn/iceberg/rows.py",
        ),
        (
            "tests/unit/lambda_fn/iceberg/test_rows.py",
            "tests/unit/lambda_fn/test_fields.py",
            "tests/properties/test_column_metrics.py",
        ),
    ),
    FileSet(
        "merging",
        ("lambda_fn/iceberg/manifest_merging.py",),
        (
            "tests/unit/lambda_fn/iceberg/test_manifest_merging.py",
            "tests/contract/iceberg/test_manifest_merging.py::test_a_merge_leaves_every_data_file_as_it_was",
        ),
    ),
    FileSet(
        "scan",
        ("lambda_fn/iceberg/row_scan.py",),
        ("tests/contract/iceberg/test_row_scan.py",),
        ("test_forty_partitions_take_one_pass_over_the_manifests",),
    ),
    FileSet(
        "judge",
        ("lambda_fn/iceberg/history.py",),
        ("tests/unit/lambda_fn/iceberg/test_history.py",),
    ),
    FileSet(
        "groups",
        (
            "lambda_fn/iceberg/append.py",
            "lambda_fn/iceberg/group_commit/group.py",
            "lambda_fn/iceberg/group_commit/member_manifest.py",
            "lambda_fn/iceberg/sales_table.py",
        ),
        (
            "tests/unit/lambda_fn/iceberg/group_commit",
            "tests/unit/lambda_fn/iceberg/test_sales_table.py",
        ),
    ),
    FileSet(
        "commit-queue",
        (
            "lambda_fn/commit_queue/items.py",
            "lambda_fn/commit_queue/queue_table.py",
            "lambda_fn/iceberg/group_commit/commit_queue.py",
        ),
        (
            "tests/contract/dynamodb/test_commit_queue.py",
            "tests/contract/dynamodb/test_commit_queue_answers.py",
        ),
    ),
    FileSet(
        "batches",
        ("lambda_fn/aws/batch_requests.py",),
        (
            "tests/contract/dynamodb/test_batches.py",
            "tests/contract/dynamodb/test_commit_queue_answers.py",
            "tests/contract/dynamodb/test_guard_answers.py",
            "tests/contract/dynamodb/test_queries_and_deletes.py",
            "tests/unit/lambda_fn/aws/test_batch_requests.py",
            "tests/unit/lambda_fn/aws/test_throttling.py",
        ),
    ),
    FileSet(
        "staging",
        ("lambda_fn/iceberg/staging.py",),
        (
            "tests/unit/lambda_fn/iceberg/test_staging.py",
            "tests/contract/iceberg/test_append_failures.py::test_data_files_have_the_codec_of_the_table",
        ),
    ),
    FileSet(
        "store",
        ("lambda_fn/iceberg/pyiceberg_store.py",),
        (
            "tests/unit/lambda_fn/iceberg/test_pyiceberg_store.py",
            "tests/contract/iceberg/test_row_scan.py",
        ),
        ("test_forty_partitions_take_one_pass_over_the_manifests",),
    ),
)
