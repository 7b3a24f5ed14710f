"""Which catalog to use, and how to reach it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class CatalogKind(StrEnum):
    """The supported catalogs."""

    S3_TABLES = "s3_tables"
    GLUE = "glue"
    REST = "rest"
    LOCAL = "local"


@dataclass(frozen=True)
class CatalogConfig:
    """How to reach a catalog.

    ``warehouse`` is the table bucket's ARN (s3_tables, glue), the warehouse's name or location (rest), or a folder
    (local). ``uri`` is required by rest (the server) and local (a SQLAlchemy URL of a SQLite file). ``endpoint_url``
    overrides every AWS endpoint, including those that a catalog vends. Without a key pair, the AWS SDK finds the
    credentials, as it should everywhere but on an emulator. ``file_io`` is the full name of the class through which
    pyiceberg reads and writes files (its ``py-io-impl``); without one, pyiceberg chooses.
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
    file_io: str | None = None

    @property
    def request_seconds(self) -> float:
        """The longest time that one request to the catalog or for a file can take."""
        return self.connect_timeout_seconds + self.read_timeout_seconds
