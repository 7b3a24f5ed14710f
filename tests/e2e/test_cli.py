"""``carousel-sync`` as users run it: in a process of its own, with the deployed template."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.aws import buffer_queue
from carousel_sync.command_line.console import EXIT_NOT_CHECKED
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.event import parse_message
from lambda_fn.guard.items import claimed_item
from lambda_fn.projection.item import projection_key
from lambda_fn.sale import Sale
from tests.forked import run_program

EXAMPLE = PROJECT_ROOT / "examples" / "carousel-sold-event.json"
# Fixed, in case the run passes midnight.
UNTIL = datetime.now(UTC).date().isoformat()
SIMULATION = (
    *("simulate", "--count", "30", "--duplicates", "0", "--invalid", "0.1", "--embedding", "64"),
    *("--seed", "5", "--until", UNTIL),
)
SIMULATED_SALES = 27
DRAIN_SECONDS = 120

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_in(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, STATE_DIR_VARIABLE: str(state_dir), "NO_COLOR": "1", "COLUMNS": "200"}
    return run_program(arguments, environment)


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that no other test writes to, because ``verify`` examines everything that is stored."""
    with LocalStack(tmp_path_factory.mktemp("stack-cli")) as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="module")
def filled(own_stack: LocalStack) -> LocalStack:
    """The stack after it has processed the example and generated sales."""
    directory = own_stack.directory
    sent = run_in(directory, "send", str(EXAMPLE), "--local", "--json")
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["eventId"]
    simulated = run_in(directory, *SIMULATION, "--local", "--json")
    assert simulated.returncode == 0, simulated.stderr
    counts = json.loads(simulated.stdout)
    assert (counts["sales"], counts["duplicates"], counts["invalid"]) == (SIMULATED_SALES, 0, 3)
    drain(own_stack)
    return own_stack


@pytest.fixture
def run(filled: LocalStack) -> Run:
    return lambda *arguments: run_in(filled.directory, *arguments, "--local")


def drain(stack: LocalStack) -> None:
    target = stack.target()
    assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), DRAIN_SECONDS)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def failed(done: subprocess.CompletedProcess[str], exit_code: int = 1) -> str:
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def example_sale() -> Sale:
    content = parse_message("example", EXAMPLE.read_text(), "").content
    assert isinstance(content, Sale)
    return content


def test_the_example_is_the_event_of_the_contract() -> None:
    envelope = json.loads(EXAMPLE.read_text())
    assert len(envelope["detail"]["embedding"]) == 1024
    assert example_sale().key == ("carousel-labs", "SALE-1767052800000-8d874118")


def test_a_report_is_written_or_printed(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ("report", "--from", "2025-01", "--to", "2026-12", "--k", "3", "--out", str(page), "--json")
    done = run(*options, "--name-tenants")
    document = json.loads(succeeded(done))
    assert str(page) in done.stderr
    assert "<!doctype html>" in page.read_text()
    assert sum(row["sales"] for row in document["tenants"]) >= 1
    assert document["rules"]["leastTenants"] == 3
    own = json.loads(succeeded(run("report", "--month", "2025-12", "--tenant", "carousel-labs", "--json")))
    assert own["tenant"] == "carousel-labs"
    assert "tenant-" not in json.dumps(own)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "Give --month"),
        (("--month", "2025-12", "--from", "2025-11"), "Give --month"),
        (("--from", "2025-12", "--to", "2025-11"), "a period of 1 to 120 months"),
        (("--month", "2025-12", "--tenant", "a", "--name-tenants"), "exclude each other"),
        (("--month", "2025-12", "--tenant", "a#b"), "a tenant has 1 to 128 characters"),
    ],
)
def test_a_report_that_can_not_be_made_is_refused(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    assert expected in failed(run_in(tmp_path, "report", *options))


@pytest.mark.parametrize("options", [("--k", "2"), ("--max-share", "100")])
def test_a_report_that_would_protect_nobody_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert options[0] in failed(run_in(tmp_path, "report", "--month", "2025-12", *options), exit_code=2)


def test_everything_that_was_sent_is_stored_once(run: Run) -> None:
    report = json.loads(succeeded(run("verify", "--json")))
    assert report == {
        "sales": SIMULATED_SALES + 1,
        "rows": SIMULATED_SALES + 1,
        "items": SIMULATED_SALES + 1,
        "missing_rows": [],
        "doubled_rows": [],
        "missing_items": [],
        "divergent": [],
        "open_claims": [],
        "released_claims": [],
        "landed_meanwhile": [],
        "consistent": True,
    }


def test_verify_prints_text(run: Run) -> None:
    assert "Consistent: every sale has one row" in succeeded(run("verify"))


def test_the_same_simulation_again_stores_nothing_new(run: Run, filled: LocalStack) -> None:
    before = json.loads(succeeded(run("verify", "--json")))
    succeeded(run(*SIMULATION))
    drain(filled)
    assert json.loads(succeeded(run("verify", "--json"))) == before


def test_query_finds_what_was_sent(run: Run) -> None:
    sql = "SELECT sale_id, sold_price, len(embedding_vector) AS n FROM sales_history WHERE product_id = 'PROD-LV-12345'"
    rows = json.loads(succeeded(run("query", sql, "--json")))
    assert rows == [{"sale_id": "SALE-1767052800000-8d874118", "sold_price": 450, "n": 1024}]
    assert "SALE-1767052800000-8d874118" in succeeded(run("query", sql))
    printed = list(csv.reader(io.StringIO(succeeded(run("query", sql, "--csv")))))
    assert printed == [["sale_id", "sold_price", "n"], ["SALE-1767052800000-8d874118", "450.0000", "1024"]]


def test_query_reports_a_mistake_in_the_sql(run: Run) -> None:
    assert "Parser Error" in failed(run("query", "SELEC 1"))


def test_query_refuses_two_output_formats(run: Run) -> None:
    assert "choose one of --json and --csv" in failed(run("query", "SELECT 1", "--json", "--csv"), exit_code=2)


def test_listing_leaves_the_dead_letters_in_the_queue(run: Run) -> None:
    first, second = (json.loads(succeeded(run("dlq", "list", "--json"))) for _ in range(2))
    assert first["total"] >= 3
    assert "INVALID_FIELD" in {reason["reason"] for reason in first["reasons"]}
    assert second == first


def test_dead_letters_are_listed_shown_and_sent_back(run: Run, filled: LocalStack) -> None:
    before = json.loads(succeeded(run("dlq", "list", "--json")))
    assert before["total"] >= 3
    assert before["complete"]
    assert "INVALID_FIELD" in {reason["reason"] for reason in before["reasons"]}
    (letter, *_) = (letter for letter in before["letters"] if letter["reason"] == "INVALID_FIELD")
    assert '"detail-type": "carousel.product.sold"' in succeeded(run("dlq", "show", letter["id"]))
    number = next(reason["count"] for reason in before["reasons"] if reason["reason"] == "INVALID_FIELD")
    planned = json.loads(succeeded(run("dlq", "redrive", "--reason", "invalid_field", "--dry-run", "--json")))
    assert planned["sent"] == number
    sent = json.loads(succeeded(run("dlq", "redrive", "--reason", "invalid_field", "--json")))
    assert (sent["sent"], sent["refused"], sent["not_deleted"]) == (number, {}, [])
    drain(filled)
    assert json.loads(succeeded(run("dlq", "list", "--json")))["total"] == before["total"]


def test_verify_repairs_a_missing_item(run: Run, filled: LocalStack) -> None:
    with changed_item(filled) as (client, address):
        before = client.get_item(**address)["Item"]
        client.delete_item(**address)
        found = run("verify", "--repair")
        assert found.returncode == 1
        assert "carousel-sync verify --repair --yes --stage dev --local" in found.stdout
        assert "Item" not in client.get_item(**address)
        done = json.loads(succeeded(run("verify", "--repair", "--yes", "--json")))
        assert done["repair"]["items_written"] == ["carousel-labs/SALE-1767052800000-8d874118"]
        assert done["after"]["consistent"] is True
        assert client.get_item(**address)["Item"] == before


def test_yes_without_repair_is_a_usage_error(run: Run) -> None:
    assert "--yes belongs to --repair" in failed(run("verify", "--yes"), exit_code=2)


def test_a_sale_with_one_row_needs_no_dedupe(run: Run) -> None:
    assert "1 row of the sale" in succeeded(run("dedupe", "carousel-labs", "SALE-1767052800000-8d874118"))
    assert "0 rows of the sale" in succeeded(run("dedupe", "carousel-labs", "nobody"))


def test_verify_finds_a_missing_item(run: Run, filled: LocalStack) -> None:
    with changed_item(filled) as (client, address):
        client.delete_item(**address)
        done = run("verify", "--json")
        assert done.returncode == 1
        report = json.loads(done.stdout)
        assert report["missing_items"] == ["carousel-labs/SALE-1767052800000-8d874118"]
        assert report["consistent"] is False
        assert "carousel-labs/SALE-1767052800000-8d874118" in run("verify").stdout
    succeeded(run("verify"))


def test_verify_finds_a_changed_item(run: Run, filled: LocalStack) -> None:
    with changed_item(filled) as (client, address):
        client.update_item(
            **address, UpdateExpression="SET salePrice = :p", ExpressionAttributeValues={":p": {"N": "449.99"}}
        )
        assert json.loads(run("verify", "--json").stdout)["divergent"] == ["carousel-labs/SALE-1767052800000-8d874118"]


def test_verify_finds_an_open_claim(run: Run, filled: LocalStack) -> None:
    target = filled.target()
    client, table = target.client("dynamodb"), target.settings.guard_table
    sale = example_sale()
    open_claim = claimed_item(sale.key, sale.facts, 7, -1, 0.0, lease_seconds=60)
    key = {name: open_claim[name] for name in ("pk", "sk")}
    before = client.get_item(TableName=table, Key=key)["Item"]
    client.put_item(TableName=table, Item=open_claim | {"ttl": before["ttl"]})
    try:
        done = run("verify")
    finally:
        client.put_item(TableName=table, Item=before)
    assert done.returncode == 1
    assert "Open claims" in done.stdout
    assert "Not consistent" in done.stdout


class changed_item:  # noqa: N801 - used as a context manager
    """The item of the example in the projection, restored at the end."""

    def __init__(self, stack: LocalStack) -> None:
        target = stack.target()
        partition, sort = projection_key(example_sale())
        self._client: Any = target.client("dynamodb")
        self._address = {
            "TableName": target.settings.projection_table,
            "Key": {"PK": {"S": partition}, "SK": {"S": sort}},
        }
        self._item = self._client.get_item(**self._address)["Item"]

    def __enter__(self) -> tuple[Any, Mapping[str, Any]]:
        return self._client, self._address

    def __exit__(self, *_: object) -> None:
        self._client.put_item(TableName=self._address["TableName"], Item=self._item)


# --- without a stack -------------------------------------------------------------------------------------------------


def test_events_written_to_a_file_are_complete_and_reproducible(tmp_path: Path) -> None:
    written = []
    for name in ("one.jsonl", "two.jsonl"):
        out = tmp_path / name
        done = run_in(tmp_path, *SIMULATION, "--out", str(out), "--json")
        assert json.loads(succeeded(done))["events"] == 30
        written.append(out.read_bytes())
    assert written[0] == written[1]
    envelopes = [json.loads(line) for line in written[0].splitlines()]
    assert len(envelopes) == 30
    assert {envelope["detail-type"] for envelope in envelopes} == {"carousel.product.sold"}
    assert {"version", "id", "source", "account", "time", "region", "resources", "detail"} <= envelopes[0].keys()


def test_simulate_prints_what_it_wrote(tmp_path: Path) -> None:
    text = succeeded(run_in(tmp_path, *SIMULATION, "--out", str(tmp_path / "events.jsonl")))
    assert "Distinct valid sales" in text
    assert "--seed 5" in text


def test_simulate_refuses_shares_out_of_range(tmp_path: Path) -> None:
    done = run_in(
        tmp_path, "simulate", "--duplicates", "0.9", "--invalid", "0.9", "--out", str(tmp_path / "events.jsonl")
    )
    assert "Nothing was generated" in failed(done)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "it can't be read"),
        (b"\xff\xfe{", "it is not UTF-8 text"),
        (b"{not json", "it is not valid JSON"),
        (b"[]", "it is not a JSON object"),
        (b'{"source": "s", "detail": {}}', "'detail-type' is missing"),
        (b'{"source": "s", "detail-type": "t", "detail": "text"}', "'detail' is missing or not an object"),
    ],
)
def test_send_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content)
    message = failed(run_in(tmp_path, "send", str(path), "--local"))
    assert problem in message
    assert "Nothing was sent" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("query", "SELECT 1"),
        ("send", str(EXAMPLE)),
        ("simulate",),
        ("dlq", "list"),
        ("dlq", "show", "ID"),
        ("dlq", "redrive"),
        ("dlq", "discard", "ID"),
        ("dedupe", "tenant", "sale"),
        ("sales", "--tenant", "tenant"),
        ("doctor",),
    ],
)
def test_without_a_stack_every_command_names_the_command_that_starts_one(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code = EXIT_NOT_CHECKED if arguments[0] in {"verify", "doctor"} else 1
    assert "carousel-sync local up" in failed(run_in(tmp_path, *arguments, "--local"), code)


def test_query_runs_a_file_of_queries_athena(run: Run) -> None:
    month = ("--tenant", "carousel-labs", "--month", "2025-12")
    rows = json.loads(succeeded(run("query", "--name", "average-price", *month, "--json")))
    assert {"category": "handbags", "brand": "Louis Vuitton", "average_price": 450, "sales": 1}.items() <= rows[
        0
    ].items()
    assert json.loads(succeeded(run("query", "--name", "duplicates", *month, "--json"))) == []
    (files,) = json.loads(succeeded(run("query", "--name", "table-files", "--json")))
    assert files["files_below_64_mb"] == files["files"] > 0


def test_query_lists_the_files_with_their_questions(run: Run) -> None:
    listed = {each["name"]: each for each in json.loads(succeeded(run("query", "--list", "--json")))}
    assert listed["average-price"]["question"] == "What is the average price of each category and brand?"
    assert "average-price" in succeeded(run("query", "--list"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "avg-price"], "There is no query named 'avg-price'. There are average-price,"),
        (["--name", "average-price", "--tenant", "a"], "also needs --month"),
        (["--name", "average-price", "--tenant", "a", "--month", "2025-13"], "such as 2025-12"),
        (["--name", "vacuum"], "Only Athena runs this statement"),
    ],
)
def test_query_says_why_a_file_can_not_run(run: Run, arguments: list[str], message: str) -> None:
    assert message in failed(run("query", *arguments))


@pytest.mark.parametrize("arguments", [[], ["SELECT 1", "--list"], ["SELECT 1", "--tenant", "a"]])
def test_query_takes_one_of_sql_a_name_and_the_list(run: Run, arguments: list[str]) -> None:
    assert "Usage:" in failed(run("query", *arguments), exit_code=2)


def test_athena_says_that_the_stage_has_no_workgroup(run: Run) -> None:
    month = ("--tenant", "carousel-labs", "--month", "2025-12")
    assert "has no Athena workgroup. Nothing was run." in failed(run("athena", "run", "average-price", *month))
    assert "is not for a table in S3 Tables" in failed(run("athena", "run", "vacuum"))
    assert "There is no query named 'x'" in failed(run("athena", "run", "x"))
