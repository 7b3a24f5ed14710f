"""Which catalog, and where: the one value that says how the table is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class CatalogKind(StrEnum):
    """The catalogs that the writer knows."""

    S3_TABLES = "s3_tables"
    GLUE = "glue"
    REST = "rest"
    LOCAL = "local"


@dataclass(frozen=True)
class CatalogConfig:
    """How to reach a catalog.

    ``warehouse`` is the table bucket's ARN (s3_tables, glue), the warehouse's name or location (rest), or a folder
    (local). ``uri`` is needed by rest (the server) and local (a SQLAlchemy URL of a SQLite file). ``endpoint_url``
    overrides every AWS endpoint, whatever endpoint a catalog vends. Without a key pair the AWS SDK's own chain of
    credentials applies, as it should everywhere but on an emulator.
    """

    kind: CatalogKind
    region: str
    warehouse: str
    uri: str | None = None
    endpoint_url: str | None = None
    connect_timeout_seconds: float = 1.0
    read_timeout_seconds: float = 5.0
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
