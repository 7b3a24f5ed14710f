"""Conditions of ``boto3.dynamodb.conditions`` as parameters of boto3's low-level client."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder


def condition_parameters(name: str, condition: ConditionBase) -> dict[str, Any]:
    """Return ``condition`` as the request parameter ``name``, together with the placeholders that it uses.

    Values in the condition are in DynamoDB's notation: ``Attr("size").eq({"N": "1"})``.
    """
    is_key_condition = name == "KeyConditionExpression"
    expression, names, values = ConditionExpressionBuilder().build_expression(condition, is_key_condition)
    # DynamoDB refuses an empty map of placeholders.
    placeholders = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
    return {name: expression, **{parameter: given for parameter, given in placeholders.items() if given}}
