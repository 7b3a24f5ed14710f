"""The commands ``cost`` and ``size``: output and exit codes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from carousel_sync.cli import app
from carousel_sync.planning.prices import LIST_PRICES
from carousel_sync.project import PROJECT_ROOT


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print on a console that is wide enough for every cell of a table."""
    monkeypatch.setattr("carousel_sync.planning.commands.stdout", Console(width=200))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def document(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_million_sales() -> None:
    found = document("cost")
    # 2 for the guard, 12 for the item, 1 and 12 for its indexes.
    assert found["write_units_per_sale"] == 27
    first, last = found["months"]
    assert (first["month"], last["month"]) == (1, 24)
    writes = sum(line["usd"] for line in first["lines"] if line["price"] == "dynamodb_write")
    assert writes == pytest.approx(27 * 0.705)
    assert first["usd"] == pytest.approx(sum(first["by_service"].values()), abs=0.001)
    assert last["by_service"]["DynamoDB"] > 7 * first["by_service"]["DynamoDB"]
    assert found["first_estimate_usd"] == pytest.approx(18.67)
    assert {price["name"] for price in found["prices"]} == set(LIST_PRICES)


def test_a_sale_without_an_embedding_takes_four_write_units() -> None:
    assert document("cost", "--embedding", "0")["write_units_per_sale"] == 4


def test_options_reach_the_bill() -> None:
    usual = document("cost", "--milliseconds-per-batch", "1000", "--sales-per-commit", "100")["months"][0]
    memory = document("cost", "--milliseconds-per-batch", "1000", "--sales-per-commit", "100", "--memory", "1024")
    (duration,) = [line for line in usual["lines"] if line["what"] == "duration times memory"]
    # 10,000 batches of one second, half a GB.
    assert duration["quantity"] == pytest.approx(5_000)
    assert memory["months"][0]["by_service"]["Lambda"] == pytest.approx(0.002 + 10_000 * 13.3334e-6, abs=1e-4)


def test_the_output_has_every_price_with_its_source_and_date() -> None:
    shown = run("cost", "--price", "metric=0.5").stdout
    for price in LIST_PRICES.values():
        assert price.name in shown
        assert price.as_of.isoformat() in shown
    assert "given with --price" in shown
    assert "18.67" in shown
    assert "No price in eu-west-1 was found for eventbridge_event" in " ".join(shown.split())


def test_an_unknown_price_is_refused() -> None:
    result = run("cost", "--price", "gold=1")
    assert result.exit_code == 1
    assert "there is no price 'gold'" in " ".join(result.stderr.split())


def test_an_embedding_that_no_event_can_have_is_refused() -> None:
    result = run("cost", "--embedding", "5000")
    assert result.exit_code == 2
    assert "--embedding" in result.stderr


def test_settings_for_a_load() -> None:
    found = document("size", "--events-per-second", "100", "--delay-seconds", "60")
    assert (found["window_seconds"], found["concurrency"], found["problems"]) == (57, 2, [])
    assert found["cost"]["events_per_month"] == 100 * 30 * 24 * 3600
    assert found["cost"]["sales_per_commit"] == pytest.approx(found["sales_per_commit"])
    shown = run("size", "--events-per-second", "100").stdout
    assert "BatchWindowSeconds" in shown
    assert "MaximumConcurrency" in shown


def test_the_figures_of_direct_delivery() -> None:
    found = document("size", "--mode", "direct", "--events-per-second", "100", "--commit-milliseconds", "500")
    assert (found["group_size"], found["commits_per_second"], found["problems"]) == (50, 2, [])
    assert found["cost"]["mode"] == "direct"
    assert found["cost"]["sales_per_commit"] == 50
    shown = run("size", "--mode", "direct", "--events-per-second", "100").stdout
    assert "ReservedConcurrency" in shown
    assert "Note:" in shown


def test_direct_delivery_of_too_much_ends_with_1_and_the_reason() -> None:
    result = run("size", "--mode", "direct", "--events-per-second", "1000")
    assert result.exit_code == 1
    assert "Use queue delivery" in " ".join(result.stdout.split())


def test_the_cost_of_direct_delivery_knows_the_group() -> None:
    # 259.2 million sales in a month are 100 a second: 35 in a commit of 350 ms.
    usual = document("cost", "--mode", "direct", "--events-per-month", "259200000")
    assert usual["sales_per_commit"] == pytest.approx(35)
    assert document("cost", "--mode", "direct", "--sales-per-commit", "7")["sales_per_commit"] == 7
    given = document("cost", "--mode", "direct", "--milliseconds-per-batch", "1000")["months"][0]
    (duration,) = [line for line in given["lines"] if line["what"] == "duration times memory"]
    assert duration["quantity"] == pytest.approx(500_000)


def test_a_load_that_is_too_high_ends_with_1_and_the_reason() -> None:
    result = run("size", "--events-per-second", "400000")
    assert result.exit_code == 1
    assert "Problem:" in result.stdout
    assert "second table" in result.stdout


def test_the_documentation_has_the_calculated_figures() -> None:
    """If it fails: update the tables, and draw the pictures again (benchmarks.planning_charts)."""
    text = (PROJECT_ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    with_it, without = (document("cost", "--embedding", values)["months"] for values in ("1024", "0"))
    (totals,) = re.findall(r"^\| total \| (.*) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert [float(total) for total in totals] == pytest.approx(
        [with_it[0]["usd"], with_it[1]["usd"], without[0]["usd"]], abs=0.02
    )
