"""The function's own code as a zip: the same files give the same bytes, whoever packs them and when."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from carousel_sync.release.contents import files_below
from lambda_fn.errors import ConfigurationError

PACKAGES: Final = ("lambda_fn", "schemas", "catalog_config")
"""The packages that run in the function; carousel_sync and tests do not."""
FILE_MODE: Final = 0o644
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_UNIX: Final = 3
_CODE_URI: Final = re.compile(r"^(?P<key>\s+CodeUri:\s+)\./\S+$", re.MULTILINE)


@dataclass(frozen=True)
class CodePackage:
    """A zip, and the SHA-256 digest that names it."""

    content: bytes
    digest: str


def package_code(root: Path) -> CodePackage:
    """Pack the function's packages below ``root``, without dependencies.

    Raises ConfigurationError if a package is missing.
    """
    buffer = io.BytesIO()
    write_zip(buffer, root, code_files(root))
    content = buffer.getvalue()
    return CodePackage(content, hashlib.sha256(content).hexdigest())


def code_files(root: Path) -> list[Path]:
    """Return the files of the function's packages below ``root``.

    Raises ConfigurationError if a package is missing.
    """
    for package in PACKAGES:
        if not (root / package / "__init__.py").is_file():
            raise ConfigurationError(
                f"{root / package} does not exist. Nothing was built. The function's code is packed from a checkout of "
                "this project, not from an installed package: run the command in a checkout."
            )
    files = (path for package in PACKAGES for path in files_below(root / package))
    return [path for path in files if "__pycache__" not in path.parts]


def write_zip(file: IO[bytes] | Path, folder: Path, paths: Iterable[Path]) -> None:
    """Write files below ``folder`` to a zip, each with the same time and mode."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in paths:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            # The mode is Unix's, whichever system this is.
            entry.create_system = _UNIX
            entry.external_attr = FILE_MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def with_code_uri(template: str, uri: str) -> str:
    """Replace the template's local CodeUri, as ``aws cloudformation package`` does.

    Raises ConfigurationError unless there is exactly one.
    """
    packaged, replaced = _CODE_URI.subn(lambda match: f"{match['key']}{uri}", template)
    if replaced != 1:
        raise ConfigurationError(
            f"template.yaml has {replaced} local CodeUri lines; exactly one is expected. Nothing was changed."
        )
    return packaged
