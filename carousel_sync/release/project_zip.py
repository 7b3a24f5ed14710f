"""The project's own code as a zip: the same files give the same bytes, whoever packs them and when."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lambda_fn.errors import ConfigurationError

PACKAGES: Final = ("lambda_fn", "schemas", "catalog_config")
"""What runs in the function; carousel_sync and tests do not."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest instant that a zip can hold
_MODE: Final = 0o644 << 16
_CODE_URI: Final = re.compile(r"^(?P<key>\s+CodeUri:\s+)\./\S+$", re.MULTILINE)


@dataclass(frozen=True)
class CodePackage:
    """A zip with its digest, which names it."""

    content: bytes
    digest: str


def package_code(root: Path) -> CodePackage:
    """Pack the function's packages below ``root``, without dependencies.

    Raises ConfigurationError when one of them is not there.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            if not (root / package / "__init__.py").is_file():
                raise ConfigurationError(
                    f"{root / package} is not there: the stack deploys the code of a checkout of this project, "
                    "not of an installed package."
                )
            for path in sorted((root / package).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
                    entry.external_attr = _MODE
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return CodePackage(content, hashlib.sha256(content).hexdigest())


def with_code_uri(template: str, uri: str) -> str:
    """Replace the template's local CodeUri, as ``aws cloudformation package`` does.

    Raises ConfigurationError unless there is exactly one.
    """
    packaged, replaced = _CODE_URI.subn(lambda match: f"{match['key']}{uri}", template)
    if replaced != 1:
        raise ConfigurationError(
            f"template.yaml has {replaced} local CodeUri lines; the deployment expects exactly one."
        )
    return packaged
