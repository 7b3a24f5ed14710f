"""The rules of the house: who may import whom, who may look at the environment, and that importing connects nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from carousel_sync.project import PROJECT_ROOT

ROOT = PROJECT_ROOT
PACKAGES = ["lambda_fn", "schemas", "catalog_config", "carousel_sync"]
CORE = ["event", "sale", "sync_sales", "ports", "process_deliveries", "runtime.retry"]
INFRASTRUCTURE = {"boto3", "botocore", "pyarrow", "pyiceberg", "mypy_boto3_sqs", "mypy_boto3_dynamodb"}
# The settings, and the composition root, which passes the environment to them.
MAY_READ_THE_ENVIRONMENT = {"lambda_fn.settings", "lambda_fn.wiring"}


@cache
def modules() -> dict[str, Path]:
    """Return every module of the project by its dotted name."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def names_imported(source: str) -> Iterator[str]:
    """Yield what a source imports, at any depth, for the type checker too; ``from a import b`` is a and a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> set[str]:
    return set(names_imported(modules()[module].read_text()))


def reachable_from(module: str) -> set[str]:
    """Return every module of the project that importing this one imports, parents included."""
    reached: set[str] = set()
    pending = [module]
    while pending:
        current = pending.pop()
        if current in reached or current not in modules():
            continue
        reached.add(current)
        pending.extend(imports_of(current))
        pending.append(current.rpartition(".")[0])
    return reached


def top(name: str) -> str:
    return name.partition(".")[0]


def modules_of(package: str) -> list[str]:
    return sorted(name for name in modules() if top(name) == package)


def reads_environment(source: str) -> bool:
    """Whether a source names one of the ways in which Python tells the environment."""
    telling = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in telling)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and telling & {a.name for a in node.names})
        for node in ast.walk(ast.parse(source))
    )


def test_the_modules_are_found() -> None:
    assert {f"lambda_fn.{name}" for name in CORE} <= modules().keys()
    assert all(modules_of(package) for package in PACKAGES)


def test_imports_are_seen_wherever_they_stand() -> None:
    source = """
    import a.b, c as d
    from e.f import g
    if TYPE_CHECKING:
        from h import i
    def function():
        import j
    """
    assert set(names_imported(textwrap.dedent(source))) == {"a.b", "c", "e.f", "e.f.g", "h", "h.i", "j"}
    assert "lambda_fn.dead_letters.dead_letter_queue" in reachable_from("lambda_fn.handler")


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_infrastructure(name: str) -> None:
    for module in reachable_from(f"lambda_fn.{name}"):
        assert not {top(imported) for imported in imports_of(module)} & INFRASTRUCTURE, module


def test_the_core_loads_no_infrastructure() -> None:
    imports = ", ".join(f"lambda_fn.{name}" for name in CORE)
    script = f"import sys, {imports}; print(*sorted({INFRASTRUCTURE!r} & sys.modules.keys()))"
    assert run(script).strip() == ""


@pytest.mark.parametrize("package", ["schemas", "catalog_config"])
def test_what_outlives_the_function_does_not_import_it(package: str) -> None:
    for module in modules_of(package):
        assert not {top(imported) for imported in imports_of(module)} & {"lambda_fn", "carousel_sync", "tests"}, module


def test_the_function_imports_no_command_line_and_no_tests() -> None:
    for module in modules_of("lambda_fn"):
        assert not {top(imported) for imported in imports_of(module)} & {"carousel_sync", "tests", "benchmarks"}, module


def test_no_package_imports_tests() -> None:
    for module in modules():
        assert "tests" not in {top(imported) for imported in imports_of(module)}, module


def test_only_the_settings_look_at_the_environment() -> None:
    reading = {
        module
        for module in modules()
        if top(module) != "carousel_sync" and reads_environment(modules()[module].read_text())
    }
    assert reading <= MAY_READ_THE_ENVIRONMENT
    assert reading, "somebody has to read it"


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "import os as o\no.getenv('A')", "from os import environ", "os.environb"]
)
def test_a_look_at_the_environment_is_noticed(source: str) -> None:
    assert reads_environment(source)
    assert not reads_environment("environment = {}; settings(environment)['A']")


def test_importing_any_module_opens_no_connection() -> None:
    script = f"""
    import importlib, socket

    def refuse(*arguments, **keywords):
        raise AssertionError("a connection")

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        setattr(socket, name, refuse)

    for name in {sorted(modules())!r}:
        importlib.import_module(name)

    import http.client
    try:
        http.client.HTTPConnection("127.0.0.1", 9).request("GET", "/")
    except AssertionError:
        print("connections are refused")
    """
    assert run(textwrap.dedent(script)).strip() == "connections are refused"


def run(script: str) -> str:
    """Run a script in a fresh interpreter, at the project's root, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
