"""Who may import what, who may read the environment, and that an import opens no connection."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest

from carousel_sync.project import PROJECT_ROOT
from tests.architecture.source import (
    INSTALLED,
    imports_of,
    modules,
    modules_of,
    names_imported,
    reachable_from,
    top,
    tree,
)

CORE = ["event", "sale", "fields", "sync_sales", "ports", "process_deliveries", "runtime.retry"]
INFRASTRUCTURE = {"boto3", "botocore", "pyarrow", "pyiceberg", "mypy_boto3_dynamodb", "mypy_boto3_s3", "mypy_boto3_sqs"}
# The function creates its clients in one module, and asks the SDK for the catalogs' addresses in another.
MAY_IMPORT_BOTO3 = {"lambda_fn.aws.clients", "catalog_config.endpoints"}
# The settings, and the composition root, which passes the environment to them.
MAY_READ_THE_ENVIRONMENT = {"lambda_fn.settings", "lambda_fn.wiring"}
SUBJECTS = sorted({".".join(name.split(".")[:2]) for name in modules() if name.startswith("carousel_sync.")})
"""The packages and modules directly below ``carousel_sync``."""


def is_command_module(name: str) -> bool:
    return name == "carousel_sync.cli" or name.endswith(".commands")


def may_import_typer(name: str) -> bool:
    return is_command_module(name) or name.startswith("carousel_sync.command_line")


def may_import_local_stack(name: str) -> bool:
    subjects = ("local_stack", "command_line", "demo", "bench")
    return is_command_module(name) or name.startswith(tuple(f"carousel_sync.{subject}" for subject in subjects))


def private_names(module: str) -> list[str]:
    """Return the private names of other modules that a module imports, and private attributes of other objects."""
    imported = [name for name in imports_of(module) if is_private(name.rpartition(".")[2])]
    attributes = [
        ast.unparse(node)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in {"self", "cls"}
    ]
    return sorted(imported + attributes)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def reads_environment(source: str) -> bool:
    """Return whether a source uses one of Python's functions or mappings for the environment."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {a.name for a in node.names})
        for node in ast.walk(ast.parse(source))
    )


# --- who may import what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_no_infrastructure(name: str) -> None:
    assert f"lambda_fn.{name}" in modules()
    for module in reachable_from(f"lambda_fn.{name}"):
        assert not {top(imported) for imported in imports_of(module)} & INFRASTRUCTURE, module


@pytest.mark.parametrize("name", CORE)
def test_the_core_loads_no_infrastructure(name: str) -> None:
    script = f"import sys, lambda_fn.{name}; print(*sorted({INFRASTRUCTURE!r} & sys.modules.keys()))"
    assert run(script).strip() == ""


def test_what_runs_in_lambda_imports_boto3_in_two_modules() -> None:
    deployed = [name for package in ("lambda_fn", "schemas", "catalog_config") for name in modules_of(package)]
    assert {name for name in deployed if "boto3" in imports_of(name)} == MAY_IMPORT_BOTO3


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("schemas", {"lambda_fn", "carousel_sync", "benchmarks", "testbed", "tests"}),
        ("catalog_config", {"lambda_fn", "carousel_sync", "benchmarks", "testbed", "tests"}),
        ("lambda_fn", {"carousel_sync", "benchmarks", "testbed", "tests"}),
        ("carousel_sync", {"benchmarks", "testbed", "tests"}),
        ("testbed", {"benchmarks", "tests"}),
        ("benchmarks", {"tests"}),
    ],
)
def test_a_package_does_not_import_the_packages_that_build_on_it(package: str, forbidden: set[str]) -> None:
    offenders = {
        module: found
        for module in modules_of(package)
        if (found := {name for name in imports_of(module) if top(name) in forbidden})
    }
    assert offenders == {}


@pytest.mark.parametrize("subject", [*SUBJECTS, "lambda_fn", "schemas", "catalog_config", "benchmarks", "testbed"])
def test_only_the_command_line_imports_typer(subject: str) -> None:
    importing = [name for name in modules_of(subject) if "typer" in {top(imported) for imported in imports_of(name)}]
    assert [name for name in importing if not may_import_typer(name)] == []


@pytest.mark.parametrize("subject", [*SUBJECTS, "lambda_fn", "schemas", "catalog_config", "benchmarks", "testbed"])
def test_no_module_imports_a_command_module(subject: str) -> None:
    """``carousel_sync.cli`` names the command modules, and imports them when a command runs.

    ``carousel_sync.start`` is the entry point, and imports ``carousel_sync.cli`` alone.
    """
    allowed = {"carousel_sync.start": ["carousel_sync.cli"]}
    importing = {
        name: found
        for name in modules_of(subject)
        if (
            found := [
                imported for imported in imports_of(name) if imported in modules() and is_command_module(imported)
            ]
        )
    }
    assert {name: found for name, found in importing.items() if sorted(found) != allowed.get(name)} == {}


@pytest.mark.parametrize("subject", [*SUBJECTS, "lambda_fn", "schemas", "catalog_config"])
def test_code_that_works_on_aws_does_not_import_the_local_stack(subject: str) -> None:
    for name in modules_of(subject):
        if not may_import_local_stack(name):
            assert [found for found in reachable_from(name) if found.startswith("carousel_sync.local_stack")] == [], (
                name
            )


@pytest.mark.parametrize("module", [*modules_of("benchmarks"), *modules_of("testbed")])
def test_benchmarks_use_no_private_names_of_other_modules(module: str) -> None:
    assert private_names(module) == []


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", [package for package in INSTALLED if package != "carousel_sync"])
def test_only_the_settings_read_the_environment(package: str) -> None:
    reading = {name for name in modules_of(package) if reads_environment(modules()[name].read_text())}
    assert reading <= MAY_READ_THE_ENVIRONMENT


# --- connections -----------------------------------------------------------------------------------------------------


def test_importing_a_module_opens_no_connection() -> None:
    installed = [name for name in modules() if top(name) in INSTALLED]
    script = f"""
    import importlib, socket

    def refuse(*arguments, **keywords):
        raise AssertionError("a connection")

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        setattr(socket, name, refuse)

    for name in {installed!r}:
        importlib.import_module(name)

    import http.client
    try:
        http.client.HTTPConnection("127.0.0.1", 9).request("GET", "/")
    except AssertionError:
        print("connections are refused")
    """
    assert run(textwrap.dedent(script)).strip() == "connections are refused"


def run(script: str) -> str:
    """Run a script in a new interpreter in the project's root, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- these tests notice violations -----------------------------------------------------------------------------------


def test_imports_are_found_anywhere_in_a_source() -> None:
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


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "import os as o\no.getenv('A')", "from os import environ", "os.environb"]
)
def test_reading_the_environment_is_noticed(source: str) -> None:
    assert reads_environment(source)
    assert not reads_environment("environment = {}; settings(environment)['A']")
    assert reads_environment(modules()["lambda_fn.wiring"].read_text())


def test_the_exceptions_to_the_rules_are_used() -> None:
    assert "typer" in imports_of("carousel_sync.cli")
    assert "carousel_sync.local_stack.state" in reachable_from("carousel_sync.command_line.stage")
    assert private_names("tests.integration.carousel_sync.dead_letters.test_dlq") == ["target._clients"] * 2


def test_only_one_module_makes_text_and_consoles_for_the_terminal() -> None:
    """Elsewhere, no text can be interpreted as markup, and none is printed with its control characters."""
    making = {"Text", "Console", "Table", "Text.assemble", "Text.from_markup", "Text.from_ansi", "Text.styled"}
    found = {
        name
        for name in modules_of("carousel_sync")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and (ast.unparse(node.func) in making or any(keyword.arg in {"markup", "emoji"} for keyword in node.keywords))
    }
    assert found == {
        "carousel_sync.command_line.text",
        "carousel_sync.command_line.tables",
        "carousel_sync.bench.commands",
    }
