"""What a resource policy allows a service to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carousel_sync.doctor.policies import allowed_actions

SERVICE = "events.amazonaws.com"
RULE = "arn:aws:events:eu-west-1:000000000000:rule/ours"
STATEMENT = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sqs:SendMessage"}


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, {"sqs:SendMessage"}),
        ({"Action": ["sqs:SendMessage", "kms:Decrypt"]}, {"sqs:SendMessage", "kms:Decrypt"}),
        ({"Principal": {"Service": ["sns.amazonaws.com", SERVICE]}}, {"sqs:SendMessage"}),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, set()),
        ({"Principal": "*"}, set()),
        ({"Effect": "Deny"}, set()),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": RULE}}}, {"sqs:SendMessage"}),
        ({"Condition": {"ArnEquals": {"AWS:SourceArn": ["arn:other", RULE]}}}, {"sqs:SendMessage"}),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": "arn:other"}}}, set()),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, {"sqs:SendMessage"}),
    ],
)
def test_only_statements_for_the_service_and_the_source_count(changes: dict[str, Any], allowed: set[str]) -> None:
    assert allowed_actions(json.dumps({"Statement": [STATEMENT | changes]}), SERVICE, RULE) == allowed


def test_a_missing_policy_allows_nothing() -> None:
    assert allowed_actions(None, SERVICE) == allowed_actions("", SERVICE) == set()


def test_any_source_counts_if_none_is_given() -> None:
    statement = STATEMENT | {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:other"}}}
    assert allowed_actions(json.dumps({"Statement": statement}), SERVICE) == {"sqs:SendMessage"}
