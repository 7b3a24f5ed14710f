"""Reads resource policies: what they allow an AWS service to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def allowed_actions(policy: str | None, service: str, source_arn: str | None = None) -> set[str]:
    """Return the actions that a policy document allows a service, such as ``events.amazonaws.com``.

    With ``source_arn``, statements that are limited to other sources (aws:SourceArn) do not count.
    """
    statements = _as_list(json.loads(policy or "{}").get("Statement", []))
    allowing = (statement for statement in statements if _allows(statement, service, source_arn))
    return {action for statement in allowing for action in _as_list(statement.get("Action"))}


def _allows(statement: Mapping[str, Any], service: str, source_arn: str | None) -> bool:
    principal = statement.get("Principal")
    services = _as_list(principal.get("Service")) if isinstance(principal, Mapping) else []
    if statement.get("Effect") != "Allow" or service not in services:
        return False
    sources = list(_source_arns(statement))
    return source_arn is None or not sources or source_arn in sources


def _source_arns(statement: Mapping[str, Any]) -> Iterator[str]:
    conditions: Mapping[str, Mapping[str, Any]] = statement.get("Condition", {})
    for condition in conditions.values():
        for key, value in condition.items():
            if key.lower() == "aws:sourcearn":
                yield from _as_list(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
