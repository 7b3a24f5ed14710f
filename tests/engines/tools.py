"""The environments in .tools, which the Makefile installs: each engine's programs, apart from the project's."""

from __future__ import annotations

from carousel_sync.project import PROJECT_ROOT
from tests.engines.java_engine import EngineUnavailable


def tool(name: str, pattern: str) -> str:
    """Return the path of a file in ``.tools/<name>``, which the Makefile installs. Raises EngineUnavailable."""
    folder = PROJECT_ROOT / ".tools" / name
    found = next(folder.glob(pattern), None) if (folder / ".installed").exists() else None
    if found is None:
        raise EngineUnavailable(f"The environment .tools/{name} is missing. Install it: make .tools/{name}/.installed")
    return str(found)
