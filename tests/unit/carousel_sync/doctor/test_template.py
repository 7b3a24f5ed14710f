"""Resolving the deployed template without CloudFormation."""

from __future__ import annotations

from typing import Any

import pytest

from carousel_sync.doctor.template import UNKNOWN, Template, differences

CONDITIONS = {
    "Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
    "NotProd": {"Fn::Not": [{"Condition": "Prod"}]},
    "Both": {"Fn::And": [{"Condition": "Prod"}, {"Condition": "NotProd"}]},
    "Either": {"Fn::Or": [{"Condition": "Prod"}, {"Condition": "NotProd"}]},
}


def resolved(value: Any) -> Any:
    body = {"Conditions": CONDITIONS, "Resources": {"Thing": {"Properties": {"value": value, "other": 1}}}}
    return Template(body, {"Stage": "dev"}, {"Queue": "https://queue"}).properties("Thing").get("value", "no value")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Queue"}, "https://queue"),
        ({"Ref": "Unknown"}, UNKNOWN),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, UNKNOWN),
        ({"Fn::Sub": "a-${Stage}-b"}, "a-dev-b"),
        ({"Fn::Sub": "a-${AWS::Region}"}, UNKNOWN),
        ({"Fn::Sub": ["a-${Name}", {"Name": "x"}]}, UNKNOWN),
        ({"Fn::If": ["Prod", 1, 2]}, 2),
        ({"Fn::If": ["NotProd", 1, 2]}, 1),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ({"Fn::If": ["Either", 1, 2]}, 1),
        ({"Fn::If": ["Prod", 1, {"Ref": "AWS::NoValue"}]}, "no value"),
        ([{"Ref": "Stage"}, {"Ref": "AWS::NoValue"}], ["dev"]),
        ({"Mode": {"Ref": "Stage"}}, {"Mode": "dev"}),
    ],
)
def test_functions_are_resolved_as_far_as_possible(value: Any, expected: Any) -> None:
    assert resolved(value) == expected


def test_differences_name_the_path_and_both_values() -> None:
    wanted = {"Timeout": 60, "Environment": {"STAGE": "dev", "ARN": UNKNOWN, "URL": UNKNOWN}}
    found = {"Timeout": 3, "Environment": {"ARN": "arn", "URL": ""}, "More": 1}
    assert differences(wanted, found) == [
        "Timeout is 3, the template says 60",
        "Environment.STAGE is missing",
        "Environment.URL is missing",
    ]
    assert differences({"MemorySize": "512"}, {"MemorySize": 512}) == []
