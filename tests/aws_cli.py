"""Runs documented ``aws ...`` commands through boto3, so that a page can be tested without the AWS CLI.

Options are parsed by the service's own model, as the AWS CLI parses them: an unknown operation, an unknown option or a
value of the wrong type is an error. It supports shorthand (``Name=a,Value=b``), JSON, ``file://`` and ``--query``, but
not the commands that exist only in the AWS CLI, such as ``aws logs tail``.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, Final

import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.model import ListShape, MapShape, Shape, StructureShape

from carousel_sync.aws.target import Target
from carousel_sync.project import PROJECT_ROOT

_BLOCK: Final = re.compile(r"^ *```[a-z]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SUBSTITUTION: Final = re.compile(r"\$\(([^()]+)\)")
_GLOBAL_OPTIONS: Final = frozenset({"query", "output", "region"})


def commands_of(text: str) -> list[str]:
    """Return the commands of a page's code blocks in order, one line each, without comments."""
    commands: list[str] = []
    for block in _BLOCK.findall(text):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        commands += [re.sub(r" {2,}", " ", line) for line in lines if line and not line.startswith("#")]
    return commands


def expanded(target: Target, command: str) -> str:
    """Replace each ``$(...)`` with its output. It must be an aws command that prints one text, or ``date``."""

    def printed(match: re.Match[str]) -> str:
        if match[1].startswith("aws "):
            return str(run_aws(target, match[1]))
        assert match[1].startswith("date "), command
        return subprocess.run(["/bin/sh", "-c", match[1]], capture_output=True, text=True, check=True).stdout.strip()

    return _SUBSTITUTION.sub(printed, command)


def request_of(target: Target, command: str) -> tuple[Any, str, dict[str, Any], dict[str, str]]:
    """Return the client, the API operation, its parameters, and the AWS CLI's global options."""
    program, service, operation, *arguments = shlex.split(command)
    assert program == "aws", command
    client = target.client(service)
    names = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    assert operation in names, f"{service} has no operation {operation}: {command}"
    shape = client.meta.service_model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in (shape.members if shape else {}).items()}
    request: dict[str, Any] = {}
    options: dict[str, str] = {}
    for option, values in _options(arguments):
        if option in _GLOBAL_OPTIONS:
            (options[option],) = values
        elif option not in members and option.startswith("no-"):
            name, member = members[option.removeprefix("no-")]
            assert member.type_name == "boolean"
            assert not values
            request[name] = False
        else:
            assert option in members, f"{service} {operation} has no option --{option}: {command}"
            name, member = members[option]
            request[name] = _value(member, values)
    return client, names[operation], request, options


def run_aws(target: Target, command: str) -> Any:
    """Run a command with all its pages, and return what the AWS CLI prints as JSON (after ``--query``)."""
    client, name, request, options = request_of(target, expanded(target, command))
    method = xform_name(name)
    if client.can_paginate(method):
        response = client.get_paginator(method).paginate(**request).build_full_result()
    else:
        response = getattr(client, method)(**request)
    return jmespath.search(options["query"], response) if "query" in options else response


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    option, values = "", list[str]()
    for argument in [*arguments, "--"]:
        if not argument.startswith("--"):
            values.append(argument)
            continue
        if option:
            yield option, values
        else:
            assert not values, f"{values} do not belong to an option"
        option, values = argument[2:], []


def _value(shape: Shape, values: Sequence[str]) -> Any:
    if shape.type_name == "boolean":
        assert not values
        return True
    texts = [
        (PROJECT_ROOT / value.removeprefix("file://")).read_text() if value.startswith("file://") else value
        for value in values
    ]
    if isinstance(shape, ListShape) and not texts[0].lstrip().startswith("["):
        return [_single(shape.member, text) for text in texts]
    (text,) = texts
    return _single(shape, text)


def _single(shape: Shape, text: str) -> Any:
    structured = isinstance(shape, ListShape | MapShape | StructureShape)
    if structured and text.lstrip().startswith(("{", "[")):
        return json.loads(text)
    if isinstance(shape, StructureShape | MapShape):
        pairs = dict(part.split("=", 1) for part in text.split(","))
        if isinstance(shape, MapShape):
            return pairs
        assert pairs.keys() <= shape.members.keys(), text
        return {name: _single(shape.members[name], value) for name, value in pairs.items()}
    if shape.type_name in ("integer", "long"):
        return int(text)
    return float(text) if shape.type_name in ("double", "float") else text
