"""The maintenance that S3 Tables does for the table: compaction, and removal of old snapshots.

The template does not contain the table, so it does not contain these settings (Amazon S3 User Guide, "S3 Tables
maintenance"). Compaction and the age of snapshots decide cost and speed: the response to a commit contains every
retained snapshot, and S3 Tables rejects metadata above 50 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalog_config.config import CatalogConfig, CatalogKind

if TYPE_CHECKING:
    from mypy_boto3_s3tables import S3TablesClient

COMPACTION: Final = "icebergCompaction"
SNAPSHOT_MANAGEMENT: Final = "icebergSnapshotManagement"

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # Merges the small files of frequent commits. 512 MB is the service's default. A smaller target would save nothing:
    # looking a sale up reads at most the ids of a file, 1.2 MB (docs/performance.md).
    COMPACTION: {"status": "enabled", "settings": {COMPACTION: {"targetFileSizeMB": 512, "strategy": "auto"}}},
    # At one commit per second, six hours are 21,600 snapshots of about 0.8 KB: 17 MB. A table takes more commits (about
    # 5.7 a second from one warm writer at S3's median latencies), but above 2.9 a second, six hours exceed 50 MB.
    # A commit whose outcome is examined after more than six hours is judged by a scan instead of the history.
    SNAPSHOT_MANAGEMENT: {
        "status": "enabled",
        "settings": {SNAPSHOT_MANAGEMENT: {"minSnapshotsToKeep": 10, "maxSnapshotAgeHours": 6}},
    },
}

DEFAULT_SNAPSHOT_SETTINGS: Final = {"minSnapshotsToKeep": 1, "maxSnapshotAgeHours": 120}
"""Those of a table whose settings were never changed (Amazon S3 User Guide, "Maintenance for tables")."""


def ensure_maintenance(client: S3TablesClient, config: CatalogConfig, namespace: str, table: str) -> tuple[str, ...]:
    """Enable the maintenance that is off or at its defaults, and return its types. Other catalogs have none.

    An operator's own settings stay unless they are disabled. Raises botocore's errors.
    """
    if config.kind not in (CatalogKind.S3_TABLES, CatalogKind.GLUE):
        return ()
    name: Any = {"tableBucketARN": config.warehouse, "namespace": namespace, "name": table}
    present: Any = client.get_table_maintenance_configuration(**name)["configuration"]
    missing = tuple(type_ for type_ in SETTINGS if not _is_set(present.get(type_, {}), type_))
    for type_ in missing:
        settings: Any = {"type": type_, "value": SETTINGS[type_]}
        client.put_table_maintenance_configuration(**name, **settings)
    return missing


def _is_set(present: Any, type_: str) -> bool:
    default = present.get("settings", {}).get(type_) == DEFAULT_SNAPSHOT_SETTINGS
    return present.get("status") == "enabled" and not default
