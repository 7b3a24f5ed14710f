"""What Iceberg, or a reader or writer of this table, can't do safely: refused with the reason and the way round."""

from __future__ import annotations


class Refused(Exception):
    """The operation is not safe. Nothing was changed. ``why`` is the reason, ``instead`` the way round."""

    def __init__(self, what: str, why: str, instead: str) -> None:
        super().__init__(f"{what} is refused: {why}. Instead: {instead}.")
        self.what = what
        self.why = why
        self.instead = instead
