"""docs/analysts.md lists every query and every column, and its commands of the AWS CLI exist."""

from __future__ import annotations

import re
from pathlib import Path

import boto3
from botocore.validate import ParamValidator

from carousel_sync.analysis.parameters import OPTIONS
from carousel_sync.analysis.query_file import queries
from carousel_sync.aws.target import Target
from carousel_sync.project import PROJECT_ROOT
from schemas.evolution.migration import current_schema
from tests.aws_cli import commands_of, request_of

PAGE = (PROJECT_ROOT / "docs/analysts.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its header."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_query_is_listed_with_its_question_and_its_options() -> None:
    expected = {}
    for name, query in queries().items():
        options = {f"`{OPTIONS.get(parameter, f'--{parameter}')}`" for parameter in query.parameters}
        shown = {"Athena", "only"} if query.changes_the_table else options
        expected[f"[{name}](../queries/athena/{name}.sql)"] = (query.question, shown)
    listed = {name: (question, set(options.split())) for name, question, options in rows("Queries")}
    assert listed == expected


def test_every_column_is_explained() -> None:
    explained = {name for names, *_ in rows("Columns") for name in names.split(", ")}
    assert explained == {field.name for field in current_schema().fields}


def test_the_commands_of_the_aws_cli_have_the_options_and_the_values_that_the_services_expect() -> None:
    target = Target(stage="dev", region="eu-west-1", session=boto3.Session())
    commands = [command for command in commands_of(PAGE) if command.startswith("aws ")]
    assert [command.split()[1:3] for command in commands] == [
        ["glue", "create-catalog"],
        ["lakeformation", "register-resource"],
        ["glue", "create-catalog"],
        ["lakeformation", "grant-permissions"],
        ["lakeformation", "create-data-cells-filter"],
        ["lakeformation", "grant-permissions"],
    ]
    for command in commands:
        words = command.split()
        if words[3] == "--cli-input-json":
            # The file is the whole request; tests/infrastructure/queries/test_analysts_rights.py validates it.
            assert (PROJECT_ROOT / Path(words[4].removeprefix("file://"))).is_file()
            continue
        client, operation, request, _ = request_of(target, command)
        report = ParamValidator().validate(request, client.meta.service_model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()
