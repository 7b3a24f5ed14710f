"""``carousel-sync local`` as a user runs it: a command in a shell, with its own state folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.local_stack import state
from carousel_sync.local_stack.emulator import DEFAULT_PORT, is_emulator
from carousel_sync.local_stack.stack import LocalStack
from tests.forked import run_program
from tests.waiting import holds_within

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("local")
    with LocalStack(path):
        yield path


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, state.STATE_DIR_VARIABLE: str(folder), "NO_COLOR": "1", **variables}
        return run_program(arguments, environment)

    return run


@pytest.fixture
def up(run: Run) -> dict[str, Any]:
    """The stack is running: the document that ``local up`` printed."""
    return document(run("local", "up", "--delivery-mode", "queue", "--json"))


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def processes_of(folder: Path) -> list[int]:
    """Return the emulators and function workers of a stack. Both have its folder in their environment."""
    needle = str(folder).encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                inherited = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(entry.startswith((b"TMPDIR=", b"S3_DATA_DIR=")) and needle in entry for entry in inherited):
                found.append(int(process.name))
    return found


def test_up_deploys_the_template_and_creates_the_table(up: dict[str, Any]) -> None:
    assert up["up"] is True
    assert up["stack_status"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    assert up["delivery_mode"] == "queue"
    assert up["table"] == "pricing_intelligence.sales_history"
    assert up["table_rows"] == 0


def test_up_twice_changes_nothing(up: dict[str, Any], run: Run) -> None:
    again = document(run("local", "up", "--json"))
    assert again["outcome"] == "unchanged"
    assert again["pid"] == up["pid"]


def test_status_prints_a_table_or_json(up: dict[str, Any], run: Run) -> None:
    shown = document(run("local", "status", "--json"))
    assert {**shown, "outcome": up["outcome"]} == up
    text = run("local", "status")
    assert text.returncode == 0
    assert up["endpoint"] in text.stdout
    assert "CREATE_COMPLETE" in text.stdout or "UPDATE_COMPLETE" in text.stdout


def test_env_prints_the_deployed_environment(up: dict[str, Any], run: Run) -> None:
    environment = document(run("local", "env", "--json"))
    assert environment == {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": up["endpoint"],
        "STAGE": "dev",
        "CATALOG": "s3_tables",
        "TABLE_BUCKET_ARN": "arn:aws:s3tables:eu-west-1:000000000000:bucket/carousel-dev-analytics",
        "ICEBERG_NAMESPACE": "pricing_intelligence",
        "ICEBERG_TABLE": "sales_history",
        "GUARD_TABLE": "pricing-idempotency-dev",
        "PROJECTION_TABLE": "bg-remover-dev-sales-intelligence",
        "DEAD_LETTER_QUEUE_URL": environment["DEAD_LETTER_QUEUE_URL"],
        "GROUP_COMMIT": "adaptive",
        "LOOK_UP_EVERY_SALE": "false",
        "MAX_RECEIVE_COUNT": "50",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    assert environment["DEAD_LETTER_QUEUE_URL"].endswith("/carousel-sync-dlq-dev")


def test_a_shell_can_evaluate_env(up: dict[str, Any], run: Run) -> None:
    exports = run("local", "env").stdout
    assert f"export AWS_ENDPOINT_URL='{up['endpoint']}'\n" in exports
    shell = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\necho $TABLE_BUCKET_ARN"], capture_output=True, text=True, check=True, timeout=10
    )
    assert shell.stdout.strip() == "arn:aws:s3tables:eu-west-1:000000000000:bucket/carousel-dev-analytics"


@pytest.mark.usefixtures("up")
def test_evolve_apply_has_nothing_left_to_do(run: Run) -> None:
    assert document(run("evolve", "apply", "--local", "--json"))["changed"] is False
    assert "up to date" in run("evolve", "apply", "--local").stdout


def test_commands_reach_the_stack_through_its_endpoint(up: dict[str, Any], run: Run) -> None:
    environment = document(run("local", "env", "--json"))
    assert document(run("evolve", "apply", "--json", **environment))["changed"] is False
    assert environment["AWS_ENDPOINT_URL"] == up["endpoint"]


def test_the_delivery_mode_can_be_changed_and_persists(up: dict[str, Any], run: Run) -> None:
    direct = document(run("local", "up", "--delivery-mode", "direct", "--json"))
    assert (direct["outcome"], direct["delivery_mode"], direct["pid"]) == ("updated", "direct", up["pid"])
    kept = document(run("local", "up", "--json"))
    assert (kept["outcome"], kept["delivery_mode"]) == ("unchanged", "direct")


@pytest.mark.usefixtures("up")
def test_settings_that_the_emulator_ignores_are_made(folder: Path) -> None:
    target = LocalStack(folder).target()
    dynamodb = target.client("dynamodb")
    for table in (target.settings.guard_table, target.settings.projection_table):
        assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName=target.settings.projection_table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.usefixtures("up")
def test_another_port_or_stage_is_refused_while_the_stack_is_running(run: Run) -> None:
    for arguments in (("--port", "1"), ("--stage", "other")):
        refused = run("local", "up", *arguments)
        assert refused.returncode == 1
        assert "carousel-sync local down" in refused.stderr
        assert "Traceback" not in refused.stderr
    elsewhere = run("evolve", "apply", "--local", "--stage", "other")
    assert elsewhere.returncode == 1
    assert "runs stage 'dev'" in " ".join(elsewhere.stderr.split())


def test_down_leaves_no_process_and_can_be_repeated(up: dict[str, Any], run: Run, folder: Path) -> None:
    target = LocalStack(folder).target()
    # The emulator keeps a worker process for a function that has run.
    target.client("lambda").invoke(FunctionName="bg-remover-dev-carouselToS3TablesSync", Payload=b"{}")
    assert processes_of(folder)
    assert document(run("local", "down", "--json")) == {"stopped": True}
    assert processes_of(folder) == []
    assert not is_emulator(up["pid"])
    assert sorted(path.name for path in folder.iterdir()) == ["emulator.log", "lock"]
    assert document(run("local", "down", "--json")) == {"stopped": False}


def test_commands_say_how_to_start_the_stack(run: Run) -> None:
    run("local", "down")
    for arguments in (("local", "env"), ("local", "status"), ("evolve", "apply", "--local")):
        result = run(*arguments)
        assert result.returncode == 1
        assert "carousel-sync local up" in " ".join((result.stdout + result.stderr).split())
        assert "Traceback" not in result.stderr


def test_an_emulator_that_died_is_replaced(run: Run, folder: Path) -> None:
    first = document(run("local", "up", "--json"))
    os.killpg(first["pid"], 9)
    assert holds_within(lambda: not processes_of(folder), 10)
    assert run("local", "status").returncode == 1
    second = document(run("local", "up", "--json"))
    assert (second["outcome"], second["table_rows"]) == ("started", 0)
    assert second["pid"] != first["pid"]
    run("local", "down")


def test_a_taken_default_port_is_avoided_and_a_taken_given_port_is_refused(run: Run) -> None:
    run("local", "down")
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            squatter.bind(("127.0.0.1", DEFAULT_PORT))
            squatter.listen()
        except OSError:
            pass  # another process has the port already, which serves as well
        refused = run("local", "up", "--port", str(DEFAULT_PORT))
        assert refused.returncode == 1
        assert f"Port {DEFAULT_PORT} is taken" in refused.stderr
        started = document(run("local", "up", "--json"))
        assert not started["endpoint"].endswith(f":{DEFAULT_PORT}")
    run("local", "down")


def test_each_folder_has_its_own_stack(up: dict[str, Any], tmp_path: Path) -> None:
    with LocalStack(tmp_path) as other:
        other.up()
        assert other.status().endpoint != up["endpoint"]
    assert processes_of(tmp_path) == []


def test_an_invalid_state_file_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    result = run("local", "status", CAROUSEL_STATE_DIR=str(tmp_path))
    assert result.returncode == 1
    assert "delete the file" in " ".join(result.stderr.split())


def test_a_usage_error_is_exit_code_2(run: Run) -> None:
    assert run("local", "up", "--delivery-mode", "pigeon").returncode == 2
    assert run("local", "sideways").returncode == 2
    assert run("--version").stdout.strip()
