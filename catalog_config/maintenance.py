"""What S3 Tables does for the table by itself: compaction, and the removal of old snapshots.

The table is not in the template, so neither are these settings (Amazon S3 User Guide, "S3 Tables maintenance").
Compaction and the snapshots' age decide over cost and speed: a commit's answer carries every retained snapshot, and S3
Tables refuses metadata above 50 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalog_config.config import CatalogConfig, CatalogKind

if TYPE_CHECKING:
    from mypy_boto3_s3tables import S3TablesClient

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # Small files of frequent commits become large ones. 512 MB is the service's own default.
    "icebergCompaction": {
        "status": "enabled",
        "settings": {"icebergCompaction": {"targetFileSizeMB": 512, "strategy": "auto"}},
    },
    # At one commit a second, the most that a table takes, six hours are 21,600 snapshots of about 0.8 KB: 17 MB. An
    # attempt that is judged later than that is judged by a scan instead of the history.
    "icebergSnapshotManagement": {
        "status": "enabled",
        "settings": {"icebergSnapshotManagement": {"minSnapshotsToKeep": 10, "maxSnapshotAgeHours": 6}},
    },
}

# Of a table whose settings nobody has ever changed (Amazon S3 User Guide, "Maintenance for tables").
_DEFAULT_AGE: Final = {"minSnapshotsToKeep": 1, "maxSnapshotAgeHours": 120}


def ensure_maintenance(client: S3TablesClient, config: CatalogConfig, namespace: str, table: str) -> tuple[str, ...]:
    """Set what is not set yet, and return the kinds of maintenance that were; nothing for another kind of catalog.

    What an operator has set differently stays, unless it is switched off. Raises botocore's errors.
    """
    if config.kind not in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        return ()
    present: Any = client.get_table_maintenance_configuration(
        tableBucketARN=config.warehouse, namespace=namespace, name=table
    )["configuration"]
    missing = [kind for kind in SETTINGS if not _is_set(present.get(kind), kind)]
    for kind in missing:
        value: Any = SETTINGS[kind]
        name: Any = kind
        client.put_table_maintenance_configuration(
            tableBucketARN=config.warehouse, namespace=namespace, name=table, type=name, value=value
        )
    return tuple(missing)


def _is_set(present: Any, kind: str) -> bool:
    if present is None or present.get("status") != "enabled":
        return False
    return bool(present.get("settings", {}).get(kind) != _DEFAULT_AGE)
