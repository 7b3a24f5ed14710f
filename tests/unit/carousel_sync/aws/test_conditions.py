"""Conditions as request parameters, with the placeholders of the whole request."""

from __future__ import annotations

from boto3.dynamodb.conditions import Attr, Key

from carousel_sync.aws.conditions import condition_parameters


def test_a_condition_brings_its_placeholders() -> None:
    assert condition_parameters("ConditionExpression", Attr("ttl").eq({"N": "1"})) == {
        "ConditionExpression": "#n0 = :v0",
        "ExpressionAttributeNames": {"#n0": "ttl"},
        "ExpressionAttributeValues": {":v0": {"N": "1"}},
    }


def test_placeholders_of_other_expressions_are_added() -> None:
    parameters = condition_parameters(
        "KeyConditionExpression", Key("PK").eq({"S": "a"}), {"#status": "status"}, {":now": {"N": "2"}}
    )
    assert parameters["ExpressionAttributeNames"] == {"#n0": "PK", "#status": "status"}
    assert parameters["ExpressionAttributeValues"] == {":v0": {"S": "a"}, ":now": {"N": "2"}}


def test_a_map_without_placeholders_is_left_out() -> None:
    parameters = condition_parameters("ConditionExpression", Attr("PK").not_exists())
    assert parameters.keys() == {"ConditionExpression", "ExpressionAttributeNames"}
