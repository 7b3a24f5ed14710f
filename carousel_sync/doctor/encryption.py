"""Checks the queues' encryption: a key of the account has to be enabled, and its policy has to allow the event bus.

Source: Amazon SQS Developer Guide, "Configuring KMS permissions for AWS services".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from carousel_sync.doctor.delivery import EVENTS
from carousel_sync.doctor.finding import DEPLOY_AGAIN, Fault, Result
from carousel_sync.doctor.policies import allowed_actions
from carousel_sync.doctor.stage import Stage

AWS_MANAGED: Final = "alias/aws/sqs"
_NEEDED: Final = ("kms:GenerateDataKey", "kms:Decrypt")
EFFECT: Final = "Sales can neither be put into the queue nor taken out of it. "


def encryption(stage: Stage) -> Result:
    """Check that both queues are encrypted with keys that the event bus may use."""
    # The buffer queue also with direct delivery: messages that were in it when the mode changed are still read.
    names = (stage.dead_letter_queue, stage.buffer_queue)
    keys = {name: stage.queue(name).get("KmsMasterKeyId") or None for name in names}
    for name, key in keys.items():
        if key is None and stage.queue(name).get("SqsManagedSseEnabled") != "true":
            yield Fault(f"{name} is not encrypted")
        elif key in (AWS_MANAGED, "aws/sqs"):
            # The policy of a key that AWS manages can't be extended.
            yield Fault(f"{name} is encrypted with {key}, which the event bus may not use", f"{EFFECT}{DEPLOY_AGAIN}")
        elif key is not None:
            yield from _key_faults(stage, name, key)
    own = sorted({key for key in keys.values() if key})
    yield f"the queues are encrypted with {', '.join(own) or 'keys of SQS'}"


def _key_faults(stage: Stage, name: str, key: str) -> Iterator[Fault]:
    kms = stage.client("kms")
    state = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        enable = f"aws kms enable-key --key-id {key}"
        if state == "PendingDeletion":
            enable = f"aws kms cancel-key-deletion --key-id {key}, then {enable}"
        yield Fault(f"the key of {name} is {state}", f"{EFFECT}Enable it: {enable}")
    allowed = allowed_actions(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"], EVENTS)
    missing = [action for action in _NEEDED if not {action, f"{action}*", "kms:*"} & allowed]
    if missing:
        problem = f"the key policy of {name} does not allow the event bus {' and '.join(missing)}"
        yield Fault(problem, f"{EFFECT}{DEPLOY_AGAIN}")
