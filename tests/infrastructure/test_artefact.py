"""The artefact that is deployed: its contents, its size, and that builds are reproducible."""

from __future__ import annotations

import ast
import importlib.util
import json
import platform
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from carousel_sync.project import PROJECT_ROOT as ROOT
from carousel_sync.release import artefact
from carousel_sync.release.artefact import LIMIT_BYTES, Artefact
from carousel_sync.release.contents import LEFT_OUT, as_markdown, files_below, leave_out
from carousel_sync.release.install import PYTHON_VERSION, Platform, find_python, find_uv
from carousel_sync.release.project_zip import PACKAGES
from carousel_sync.release.symbols import strip
from lambda_fn.errors import ConfigurationError

DOCUMENT = ROOT / "docs" / "artefact.md"
ARM64 = 183  # EM_AARCH64 of elf(5)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """The artefact for Lambda's processor, without bytecode."""
    return artefact.build(Platform.ARM64, tmp_path_factory.mktemp("first") / "artefact")


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that installs one small package instead of the locked ones."""

    def install(_root: Path, target: Path, _wanted: Platform) -> None:
        write(target, "package/__init__.py", "NAMES = {'a', 'b', 'c'}\n")
        write(target, "package/py.typed", "")
        write(target, "package/tests/test_it.py", "x" * 100)

    monkeypatch.setattr(artefact, "install_dependencies", install)


def write(folder: Path, path: str, content: str) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def paths(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


# --- the real artefact ------------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_it_is_small_enough(built: Artefact) -> None:
    assert LIMIT_BYTES <= 135_000_000
    assert sum(path.stat().st_size for path in files_below(built.folder)) == built.bytes <= LIMIT_BYTES


@pytest.mark.engine
@pytest.mark.parametrize("options", [(), ("--bytecode",)], ids=["sources", "bytecode"])
def test_the_same_inputs_give_the_same_bytes(options: tuple[str, ...], tmp_path: Path) -> None:
    first, second = (build_elsewhere(tmp_path / name, *options) for name in ("one", "two"))
    assert first["archive_sha256"] == second["archive_sha256"]
    assert first["contents_sha256"] == second["contents_sha256"]
    assert first["bytes"] <= LIMIT_BYTES


def build_elsewhere(folder: Path, *options: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "carousel_sync.release.commands",
        "build",
        "--json",
        "--out",
        str(folder / "artefact"),
        *options,
    ]
    umask = 0o077 if folder.name == "two" else 0o022
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, cwd=ROOT, umask=umask)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.engine
def test_it_contains_only_the_functions_code_and_dependencies(built: Artefact) -> None:
    top = {path.partition("/")[0] for path in paths(built.folder)}
    assert set(PACKAGES) < top
    assert not {"carousel_sync", "tests", "testbed", "benchmarks", "pytest", "ministack", "duckdb", "sqlalchemy"} & top
    assert not [path for path in paths(built.folder) if "__pycache__" in path or "/tests/" in path]
    for package in PACKAGES:
        sources = {path for path in paths(ROOT / package) if "__pycache__" not in path}
        assert set(paths(built.folder / package)) == sources


@pytest.mark.engine
def test_it_contains_the_sdks_data_of_its_clients_only(built: Artefact) -> None:
    (kept,) = [line.kept for line in LEFT_OUT if line.pattern == "botocore/data/*"]
    assert {path.name for path in (built.folder / "botocore" / "data").iterdir()} == kept
    assert not (built.folder / "boto3" / "data").exists()


@pytest.mark.engine
def test_every_library_is_for_the_functions_processor(built: Artefact) -> None:
    libraries = [path for path in files_below(built.folder) if ".so" in path.suffixes]
    assert libraries
    assert {struct.unpack_from("<H", path.read_bytes(), 18)[0] for path in libraries} == {ARM64}


@pytest.mark.engine
def test_every_line_of_the_list_matches_files(built: Artefact) -> None:
    assert [removal.pattern for removal in built.removals if not removal.files] == []


@pytest.mark.engine
def test_a_scanner_can_identify_the_packages(built: Artefact) -> None:
    metadata = [path.read_text() for path in built.folder.glob("*.dist-info/METADATA")]
    names = {re.findall(r"^Name: (.+)$", text, re.MULTILINE)[0].lower() for text in metadata}
    assert {"boto3", "botocore", "pyarrow", "pydantic", "pyiceberg"} <= names
    assert "ministack" not in names


# --- how it is built --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ready")
def test_the_zip_has_the_folders_files_in_order_and_without_times(tmp_path: Path) -> None:
    result = artefact.build(Platform.ARM64, tmp_path / "artefact")
    with zipfile.ZipFile(result.archive) as archive:
        entries = archive.infolist()
        assert all(archive.read(entry) == (result.folder / entry.filename).read_bytes() for entry in entries)
    assert [entry.filename for entry in entries] == sorted(paths(result.folder))
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o644"}
    assert {oct(path.stat().st_mode & 0o777) for path in files_below(result.folder)} == {"0o644"}
    assert "package/__init__.py" in paths(result.folder)
    assert not {"package/py.typed", "package/tests/test_it.py"} & set(paths(result.folder))


@pytest.mark.usefixtures("ready")
def test_a_build_replaces_the_previous_one(tmp_path: Path) -> None:
    write(tmp_path, "artefact/of_yesterday.py", "")
    result = artefact.build(Platform.ARM64, tmp_path / "artefact")
    assert "of_yesterday.py" not in paths(result.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artefact", "artefact.zip"]


@pytest.mark.usefixtures("ready")
def test_a_build_that_is_too_large_is_refused_and_the_previous_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = artefact.build(Platform.ARM64, tmp_path / "artefact").archive_sha256
    monkeypatch.setattr(artefact, "LIMIT_BYTES", 1_000)
    with pytest.raises(ConfigurationError, match=r"MB unzipped; the limit is 0\.0 MB \(lambda_fn"):
        artefact.build(Platform.ARM64, tmp_path / "artefact")
    monkeypatch.undo()
    assert artefact._sha256(tmp_path / "artefact.zip") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artefact", "artefact.zip"]


def test_kept_names_survive_their_line(tmp_path: Path) -> None:
    kept = [
        "botocore/data/dynamodb/2012-08-10/service-2.json.gz",
        "botocore/data/endpoints.json",
        "botocore/data/partitions.json",
        "pyarrow/lib.cpython-313-aarch64-linux-gnu.so",
        "pyarrow/libarrow.so.2600",
        "pyarrow/libarrow_python.so.2600",
        "requests-1.dist-info/METADATA",
        "requests-1.dist-info/licenses/LICENSE",
    ]
    removed = [
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "pyarrow/lib.pyx",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2600.1.0",
        "requests-1.dist-info/RECORD",
    ]
    for path in [*kept, *removed]:
        write(tmp_path, path, "12345")
    removals = leave_out(tmp_path)
    assert paths(tmp_path) == sorted(kept)
    assert sum(removal.files for removal in removals) == len(removed)
    assert sum(removal.bytes for removal in removals) == 5 * len(removed)


def test_each_line_is_unique_and_has_a_reason() -> None:
    patterns = [line.pattern for line in LEFT_OUT]
    assert len(set(patterns)) == len(patterns)
    assert all(line.reason for line in LEFT_OUT)


def test_the_document_contains_the_list() -> None:
    assert as_markdown() in DOCUMENT.read_text(), (
        "python -m carousel_sync.release.commands reasons prints the table for the document"
    )


def test_the_sdks_data_is_kept_for_every_client_of_the_code() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    used = {service for path in sources for service in services(ast.parse(path.read_text()))}
    assert used == {"dynamodb", "sqs", "s3", "s3tables", "glue"}
    (kept,) = [line.kept for line in LEFT_OUT if line.pattern == "botocore/data/*"]
    assert used < kept


def services(tree: ast.Module) -> Iterator[str]:
    """Yield the services that a module creates a client or a resource of, or asks the SDK for the address of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.endswith(("client", "resource", "signed_properties")):
                yield str(node.args[0].value)


def test_no_resource_is_used_because_its_data_is_left_out() -> None:
    assert "boto3/data" in {line.pattern for line in LEFT_OUT}
    sources = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert not [source for source in sources if ".resource(" in source]


# --- debugging symbols ------------------------------------------------------------------------------------------------


def test_a_library_without_its_symbols_still_works(tmp_path: Path) -> None:
    package = tmp_path / "orjson"
    shutil.copytree(Path(orjson.__file__).parent, package)
    (library,) = package.glob("*.so")
    with library.open("ab") as file:
        file.write(b"symbols" * 1_000)
    size = library.stat().st_size
    removed = strip(library)
    assert removed >= 7_000
    assert library.stat().st_size == size - removed
    script = "import sys; sys.path.insert(0, sys.argv[1]); import orjson; print(orjson.__file__, orjson.loads('[1]'))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{package / '__init__.py'} [1]"
    assert strip(library) == 0, "a second run finds nothing"


def test_a_file_that_is_not_a_library_is_left_alone(tmp_path: Path) -> None:
    script = write(tmp_path, "linker.so", "GROUP ( libc.so.6 )")
    assert strip(script) == 0
    assert script.read_text() == "GROUP ( libc.so.6 )"


@pytest.mark.parametrize("length", [20, 64, 5_000])
def test_a_damaged_library_is_reported_and_left_alone(length: int, tmp_path: Path) -> None:
    (source,) = library_of(orjson)
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(source.read_bytes()[:length])
    with pytest.raises(ValueError, match="is damaged"):
        strip(damaged)
    assert damaged.stat().st_size == length


def library_of(package: ModuleType) -> list[Path]:
    assert package.__file__
    return list(Path(package.__file__).parent.glob("*.so"))


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.0")
    return tmp_path


def program(path: Path, prints: str = "", code: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {prints}\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_uv_is_found_where_the_makefile_installs_it(no_programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="make install"):
        find_uv(no_programs)
    in_checkout = program(no_programs / ".tools/uv/bin/uv")
    assert find_uv(no_programs) == [in_checkout]
    in_path = program(no_programs / "uv")
    assert find_uv(no_programs) == [in_path]
    named = program(no_programs / "elsewhere/uv")
    monkeypatch.setenv("UV", named)
    assert find_uv(no_programs) == [named]


def test_an_interpreter_of_the_functions_version_is_found(no_programs: Path) -> None:
    uv = program(no_programs / ".tools/uv/bin/uv", "no interpreter", 2)
    with pytest.raises(ConfigurationError, match=f"{uv} python install {PYTHON_VERSION}"):
        find_python(no_programs)
    # A pyenv shim, for a version that is not enabled.
    program(no_programs / f"python{PYTHON_VERSION}", "pyenv: command not found", 127)
    with pytest.raises(ConfigurationError):
        find_python(no_programs)
    managed = program(no_programs / "managed/python", f"{PYTHON_VERSION}.9")
    program(no_programs / ".tools/uv/bin/uv", managed)
    assert find_python(no_programs) == managed
    name = f"pyenv/versions/{PYTHON_VERSION}.7/bin/python{PYTHON_VERSION}"
    installed = program(no_programs / name, f"{PYTHON_VERSION}.7")
    assert find_python(no_programs) == installed


def test_a_failed_installation_leaves_nothing_and_shows_the_reason(
    no_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV", program(no_programs / "uv", "no network", 2))
    out = no_programs / "build" / "artefact"
    with pytest.raises(ConfigurationError, match=r"nothing was built:\nno network"):
        artefact.build(Platform.ARM64, out)
    assert list(out.parent.iterdir()) == []


def test_a_processor_that_lambda_does_not_support_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert Platform.ARM64.uv_name == "aarch64-manylinux_2_28"
    with pytest.raises(ConfigurationError, match="riscv64"):
        _ = Platform.HOST.uv_name


def test_the_runtime_matches_the_template() -> None:
    template = (ROOT / "template.yaml").read_text()
    assert f"Runtime: python{PYTHON_VERSION}\n" in template
    assert "Architectures: [arm64]\n" in template
    assert "CodeUri: ./build/artefact\n" in template
