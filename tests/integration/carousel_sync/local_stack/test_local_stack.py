"""``carousel-sync local`` as its user runs it: a command in a shell, in a folder of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.local_stack import state
from carousel_sync.local_stack.emulator import USUAL_PORT, is_emulator
from carousel_sync.local_stack.stack import LocalStack
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
        command = [str(Path(sys.executable).parent / "carousel-sync"), *arguments]
        environment = {**os.environ, state.STATE_DIR_VARIABLE: str(folder), "NO_COLOR": "1", **variables}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    return run


@pytest.fixture
def up(run: Run) -> dict[str, Any]:
    """What ``local up`` printed, whether it had anything to do or not."""
    return document(run("local", "up", "--delivery-mode", "queue", "--json"))


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def processes_of(folder: Path) -> list[int]:
    """Emulators and function workers: both have the folder in their environment."""
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


def test_status_for_people_and_for_programs(up: dict[str, Any], run: Run) -> None:
    shown = document(run("local", "status", "--json"))
    assert {**shown, "outcome": up["outcome"]} == up
    text = run("local", "status")
    assert text.returncode == 0
    assert up["endpoint"] in text.stdout
    assert "CREATE_COMPLETE" in text.stdout or "UPDATE_COMPLETE" in text.stdout


def test_env_is_the_deployed_environment(up: dict[str, Any], run: Run) -> None:
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
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    assert environment["DEAD_LETTER_QUEUE_URL"].endswith("/carousel-sync-dlq-dev")


def test_env_is_what_a_shell_can_read(up: dict[str, Any], run: Run) -> None:
    exports = run("local", "env").stdout
    assert f"export AWS_ENDPOINT_URL='{up['endpoint']}'\n" in exports
    shell = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\necho $TABLE_BUCKET_ARN"], capture_output=True, text=True, check=True, timeout=10
    )
    assert shell.stdout.strip() == "arn:aws:s3tables:eu-west-1:000000000000:bucket/carousel-dev-analytics"


@pytest.mark.usefixtures("up")
def test_evolve_apply_finds_nothing_left_to_do(run: Run) -> None:
    assert document(run("evolve", "apply", "--local", "--json"))["changed"] is False
    assert "up to date" in run("evolve", "apply", "--local").stdout


def test_commands_reach_the_stack_by_its_endpoint_too(up: dict[str, Any], run: Run) -> None:
    environment = document(run("local", "env", "--json"))
    assert document(run("evolve", "apply", "--json", **environment))["changed"] is False
    assert environment["AWS_ENDPOINT_URL"] == up["endpoint"]


def test_the_delivery_mode_can_be_changed_and_is_kept(up: dict[str, Any], run: Run) -> None:
    direct = document(run("local", "up", "--delivery-mode", "direct", "--json"))
    assert (direct["outcome"], direct["delivery_mode"], direct["pid"]) == ("updated", "direct", up["pid"])
    kept = document(run("local", "up", "--json"))
    assert (kept["outcome"], kept["delivery_mode"]) == ("unchanged", "direct")


@pytest.mark.usefixtures("up")
def test_what_the_emulator_leaves_out_of_the_template_is_there(folder: Path) -> None:
    target = LocalStack(folder).target()
    dynamodb = target.client("dynamodb")
    for table in (target.settings.guard_table, target.settings.projection_table):
        assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName=target.settings.projection_table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.usefixtures("up")
def test_another_port_or_stage_is_refused_while_it_is_up(run: Run) -> None:
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
    # A function that has run has a worker process of its own.
    target.client("lambda").invoke(FunctionName="bg-remover-dev-carouselToS3TablesSync", Payload=b"{}")
    assert processes_of(folder)
    assert document(run("local", "down", "--json")) == {"stopped": True}
    assert processes_of(folder) == []
    assert not is_emulator(up["pid"])
    assert sorted(path.name for path in folder.iterdir()) == ["emulator.log", "lock"]
    assert document(run("local", "down", "--json")) == {"stopped": False}


def test_commands_say_how_to_bring_it_up(run: Run) -> None:
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


def test_a_taken_port_is_avoided_and_an_explicit_one_refused(run: Run) -> None:
    run("local", "down")
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            squatter.bind(("127.0.0.1", USUAL_PORT))
            squatter.listen()
        except OSError:
            pass  # somebody has it already, which serves as well
        refused = run("local", "up", "--port", str(USUAL_PORT))
        assert refused.returncode == 1
        assert f"Port {USUAL_PORT} is taken" in refused.stderr
        started = document(run("local", "up", "--json"))
        assert not started["endpoint"].endswith(f":{USUAL_PORT}")
    run("local", "down")


def test_two_folders_are_two_stacks(up: dict[str, Any], tmp_path: Path) -> None:
    with LocalStack(tmp_path) as other:
        other.up()
        assert other.status().endpoint != up["endpoint"]
    assert processes_of(tmp_path) == []


def test_a_state_file_that_is_not_ours_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    result = run("local", "status", CAROUSEL_STATE_DIR=str(tmp_path))
    assert result.returncode == 1
    assert "remove that file" in " ".join(result.stderr.split())


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    assert run("local", "up", "--delivery-mode", "pigeon").returncode == 2
    assert run("local", "sideways").returncode == 2
    assert run("--version").stdout.strip()
