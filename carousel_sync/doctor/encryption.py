"""The key that encrypts the queues, where it is one of this account's own: usable, and by the event bus, too.

Source: Amazon SQS Developer Guide, "Configuring KMS permissions for AWS services".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from carousel_sync.doctor.account import DEPLOY_AGAIN
from carousel_sync.doctor.delivery import EVENTS
from carousel_sync.doctor.finding import Check, Finding, judged
from carousel_sync.doctor.stage import Stage

AWS_MANAGED: Final = "alias/aws/sqs"
_NEEDED: Final = ("kms:GenerateDataKey", "kms:Decrypt")
_LOST: Final = "Sales can be neither put into the queue nor taken out of it. "


def encryption(stage: Stage) -> Finding:
    """Whether the queues' keys are enabled, and let the event bus in."""
    # The buffer queue also with direct delivery: what was in it when the mode changed is still read.
    names = (stage.dead_letter_queue, stage.buffer_queue)
    keys = {name: stage.queue(name).get("KmsMasterKeyId") or None for name in names}

    def faults() -> Iterator[tuple[str, str]]:
        for name, key in keys.items():
            if key is None and stage.queue(name).get("SqsManagedSseEnabled") != "true":
                yield f"{name} is not encrypted", DEPLOY_AGAIN
            elif key in (AWS_MANAGED, "aws/sqs"):
                # The policy of a key that AWS manages can't be extended.
                yield f"{name} is encrypted with {key}, which the event bus may not use", f"{_LOST}{DEPLOY_AGAIN}"
            elif key is not None:
                yield from _key_faults(stage, name, key)

    own = sorted({key for key in keys.values() if key})
    return judged(f"the queues are encrypted with {', '.join(own) or 'keys of SQS'}", faults())


def _key_faults(stage: Stage, name: str, key: str) -> Iterator[tuple[str, str]]:
    kms = stage.client("kms")
    state = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        enable = f"aws kms enable-key --key-id {key}"
        if state == "PendingDeletion":
            enable = f"aws kms cancel-key-deletion --key-id {key}, then {enable}"
        yield f"the key of {name} is {state}", f"{_LOST}Switch it on: {enable}"
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    allowed = {action for one in _several(policy.get("Statement")) for action in _allowed_to_events(one)}
    missing = [action for action in _NEEDED if not {action, f"{action}*", "kms:*"} & allowed]
    if missing:
        yield f"the key of {name} does not let the event bus {' and '.join(missing)}", f"{_LOST}{DEPLOY_AGAIN}"


def _allowed_to_events(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    services = _several(principal.get("Service")) if isinstance(principal, Mapping) else []
    return _several(statement.get("Action")) if statement.get("Effect") == "Allow" and EVENTS in services else []


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


CHECKS: Final = (Check("encryption", encryption, f"{_LOST}Restore the key, or deploy the stack again."),)
