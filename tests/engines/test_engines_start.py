"""Each engine starts, answers requests, and stops without leaving a process behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from schemas.sales_history import FIRST_SCHEMA, NAMESPACE, PARTITION_SPEC, TABLE
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY, emulator
from testbed.server_process import ServerNotStarted, ServerProcess, free_port, running
from tests.engines import java_engine, versitygw
from tests.engines.fixtures import IcebergRestServer, make_bucket
from tests.engines.java_engine import DYNAMODB_LOCAL, INSTALL_COMMAND, EngineUnavailable
from tests.engines.tools import tool
from tests.waiting import holds_within


@pytest.mark.engine
def test_dynamodb_local_answers_requests(dynamodb_local: str) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=dynamodb_local,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    assert client.list_tables()["TableNames"] is not None


@pytest.mark.engine
def test_the_iceberg_rest_server_creates_the_sales_table(
    iceberg_rest_server: IcebergRestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    catalog = connect(
        CatalogConfig(
            kind=CatalogKind.REST,
            region=REGION,
            warehouse=iceberg_rest_server.warehouse,
            uri=iceberg_rest_server.uri,
            endpoint_url=iceberg_rest_server.s3_endpoint,
            # A Java server answers its first requests slowly on a busy machine.
            read_timeout_seconds=60.0,
        )
    )
    namespace = f"{NAMESPACE}_smoke"
    catalog.create_namespace(namespace)
    table = catalog.create_table((namespace, TABLE), schema=FIRST_SCHEMA, partition_spec=PARTITION_SPEC)

    assert table.schema().as_struct() == FIRST_SCHEMA.as_struct()
    assert table.spec() == PARTITION_SPEC
    assert table.metadata_location.startswith(iceberg_rest_server.warehouse)
    assert table.refresh().scan().to_arrow().num_rows == 0


@pytest.mark.engine
def test_versitygw_verifies_signatures(versitygw_endpoint: str) -> None:
    make_bucket(versitygw_endpoint, "signed")
    client = boto3.client(
        "s3",
        endpoint_url=versitygw_endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=f"not {SECRET_KEY}",
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.put_object(Bucket="signed", Key="key", Body=b"")


def _dynamodb_local(folder: Path) -> AbstractContextManager[ServerProcess]:
    return java_engine.dynamodb_local(folder)


def _versitygw(folder: Path) -> AbstractContextManager[ServerProcess]:
    return versitygw.versitygw(folder, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION)


def _iceberg_rest(folder: Path) -> AbstractContextManager[ServerProcess]:
    return java_engine.iceberg_rest(
        folder,
        warehouse="s3://nowhere/",
        s3_endpoint="http://127.0.0.1:9",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
    )


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(_dynamodb_local, marks=pytest.mark.engine, id="dynamodb-local"),
        pytest.param(_iceberg_rest, marks=pytest.mark.engine, id="iceberg-rest"),
        pytest.param(_versitygw, marks=pytest.mark.engine, id="versitygw"),
        pytest.param(emulator, id="emulator"),
    ],
)
def test_no_process_is_left(start: Callable[[Path], AbstractContextManager[ServerProcess]], tmp_path: Path) -> None:
    with start(tmp_path) as server:
        assert _processes_of(server.pid)
    assert _ends(server.pid)


def test_a_server_ends_when_its_test_process_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from testbed.emulator import emulator\n"
        "with emulator(Path(sys.argv[1])) as server: print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert _processes_of(group)
        parent.send_signal(signal.SIGKILL)
    assert _ends(group)


def test_the_error_for_a_server_that_ends_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no disk left')"]
    server = running("engine", command, port=free_port(), folder=tmp_path, environment={}, ready_path="/")
    with pytest.raises(ServerNotStarted, match=r"engine ended with exit code 1(.|\n)*no disk left"), server:
        pass


@pytest.mark.parametrize("missing", ["java", "mvn"])
def test_the_error_for_a_missing_program_shows_the_command_that_installs_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"java", "mvn"} - {missing}:
        (programs / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(EngineUnavailable, match=f"'{missing}'.*{INSTALL_COMMAND}"):
        java_engine.fetch(DYNAMODB_LOCAL, tmp_path / "cache")


def test_the_error_for_a_server_that_can_not_be_built_shows_the_command_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no route to host >&2; exit 1\n")
    go.chmod(0o755)
    monkeypatch.setattr(versitygw, "tool", lambda *_: str(go))
    with pytest.raises(EngineUnavailable, match=r"versitygw fetch\nno route to host"):
        versitygw.fetch(tmp_path / "cache")


def test_the_error_for_a_missing_environment_shows_the_command_that_installs_it() -> None:
    with pytest.raises(EngineUnavailable, match=r"Install it: make \.tools/nothing/\.installed"):
        tool("nothing", "bin/python")


def _ends(group: int, within_seconds: float = 5.0) -> bool:
    return holds_within(lambda: not _processes_of(group), within_seconds)


def _processes_of(group: int) -> list[int]:
    """Return the ids of the group's processes, except for zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # The process ended meanwhile.
        if int(process_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found
