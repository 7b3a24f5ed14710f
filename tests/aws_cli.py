"""Documented ``aws ...`` commands, carried out through boto3, so that a page can be tested where there is no AWS CLI.

Options are read by the service's own model, as the AWS CLI reads them: an option or an operation that does not exist,
or a value that does not fit, is an error. Shorthand (``Name=a,Value=b``), JSON, ``file://`` and ``--query`` are known;
the CLI's own commands, such as ``aws logs tail``, are not.
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
_NOT_THE_OPERATIONS: Final = frozenset({"query", "output", "region"})


def commands_of(text: str) -> list[str]:
    """Return every command of a page's code blocks, one line each, in their order; comments are left out."""
    commands: list[str] = []
    for block in _BLOCK.findall(text):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        commands += [re.sub(r" {2,}", " ", line) for line in lines if line and not line.startswith("#")]
    return commands


def expanded(target: Target, command: str) -> str:
    """Carry out what stands in ``$(...)``, which is an aws command that prints one text, or date."""

    def printed(match: re.Match[str]) -> str:
        if match[1].startswith("aws "):
            return str(run_aws(target, match[1]))
        assert match[1].startswith("date "), command
        return subprocess.run(["/bin/sh", "-c", match[1]], capture_output=True, text=True, check=True).stdout.strip()

    return _SUBSTITUTION.sub(printed, command)


def request_of(target: Target, command: str) -> tuple[Any, str, dict[str, Any], dict[str, str]]:
    """Return the client, its operation's name in the API, the request, and the options that are the CLI's own."""
    program, service, operation, *arguments = shlex.split(command)
    assert program == "aws", command
    client = target.client(service)
    names = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    assert operation in names, f"{service} has no operation {operation}: {command}"
    shape = client.meta.service_model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in (shape.members if shape else {}).items()}
    request: dict[str, Any] = {}
    own: dict[str, str] = {}
    for option, values in _options(arguments):
        if option in _NOT_THE_OPERATIONS:
            (own[option],) = values
        elif option not in members and option.startswith("no-"):
            name, member = members[option.removeprefix("no-")]
            assert member.type_name == "boolean"
            assert not values
            request[name] = False
        else:
            assert option in members, f"{service} {operation} has no option --{option}: {command}"
            name, member = members[option]
            request[name] = _value(member, values)
    return client, names[operation], request, own


def run_aws(target: Target, command: str) -> Any:
    """Carry a command out, every page of it, and return what the CLI prints as JSON (after ``--query``)."""
    client, name, request, own = request_of(target, expanded(target, command))
    method = xform_name(name)
    if client.can_paginate(method):
        answer = client.get_paginator(method).paginate(**request).build_full_result()
    else:
        answer = getattr(client, method)(**request)
    return jmespath.search(own["query"], answer) if "query" in own else answer


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    option, values = "", list[str]()
    for argument in [*arguments, "--"]:
        if not argument.startswith("--"):
            values.append(argument)
            continue
        if option:
            yield option, values
        else:
            assert not values, f"what is {values}?"
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
