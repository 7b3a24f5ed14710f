"""Conditions of ``boto3.dynamodb.conditions`` as parameters of boto3's low-level client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder


def condition_parameters(
    name: str,
    condition: ConditionBase,
    other_names: Mapping[str, str] | None = None,
    other_values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return ``condition`` as the request parameter ``name``, together with the request's placeholders.

    Values are in DynamoDB's notation: ``Attr("size").eq({"N": "1"})``. ``other_names`` and ``other_values`` are the
    placeholders of the request's other expressions, such as ``{"#ttl": "ttl"}``; they must not be named ``#n0`` or
    ``:v0``, which are those of the condition.
    """
    is_key_condition = name == "KeyConditionExpression"
    expression, names, values = ConditionExpressionBuilder().build_expression(condition, is_key_condition)
    # DynamoDB refuses an empty map of placeholders.
    placeholders = {
        "ExpressionAttributeNames": names | dict(other_names or {}),
        "ExpressionAttributeValues": values | dict(other_values or {}),
    }
    return {name: expression, **{parameter: given for parameter, given in placeholders.items() if given}}
