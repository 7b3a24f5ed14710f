"""Refuses deployments and deletions that would fail halfway, or make stored data unreachable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from carousel_sync.aws.target import STACK_NAME, Target
from carousel_sync.deployment import change_set, stored_data
from carousel_sync.deployment.change_set import ChangeSet
from carousel_sync.deployment.stored_data import Store
from lambda_fn.errors import ConfigurationError

RETAINED_TYPES: Final = frozenset(
    {
        "AWS::DynamoDB::Table",
        "AWS::Events::Archive",
        "AWS::KMS::Key",
        "AWS::S3Tables::Namespace",
        "AWS::S3Tables::TableBucket",
        "AWS::SQS::Queue",
    }
)
"""The types of the resources that template.yaml retains."""


def refuse_to_recreate_stores(target: Target, parameters: Mapping[str, str]) -> None:
    """Raise ConfigurationError if a new stack would have to create stores that exist already.

    CloudFormation's ImportExistingResources can't import them: it requires names without functions, and the stage is
    part of every name (AWS CloudFormation User Guide, "Import AWS resources into a CloudFormation stack
    automatically").
    """
    if not change_set.creates_stack(target):
        return
    archives = parameters.get("ArchiveDays", "0") != "0"
    stores = [s for s in stored_data.named_stores(target) if archives or s.logical_id != stored_data.ARCHIVE]
    if not stores:
        return
    stack = STACK_NAME.format(stage=target.stage)
    names = "".join(f"\n  {store.name}" for store in stores)
    data = " ".join(store.name for store in stores)
    raise ConfigurationError(
        f"Stack {stack} does not exist, but stores of stage {target.stage!r} do, and CloudFormation would fail to "
        f"create them again:{names}\nNothing was changed. Choose one: import them into a new stack, as described in "
        'docs/deployment.md under "A stage whose data stayed"; deploy another stage; or delete them with everything in '
        f'them: make destroy STAGE={target.stage} DATA="{data}"'
    )


def refuse_replacement(planned: ChangeSet) -> None:
    """Raise ConfigurationError if the change set would replace a store: the new one would be empty."""
    replaced = [change.logical_id for change in planned.changes if change.replaced and change.type in RETAINED_TYPES]
    if replaced:
        raise ConfigurationError(
            f"The change set would replace {', '.join(replaced)}, and leave the data behind in the old resource. "
            "Nothing was changed. The name and the key of a store can't be changed later: see docs/deployment.md."
        )


def refuse_to_lose_key(deleted: Sequence[Store], kept: Sequence[Store]) -> None:
    """Raise ConfigurationError if the key would be deleted, and a store that needs it would be kept."""
    keys = [store for store in deleted if store.logical_id == stored_data.KEY]
    unreadable = [store for store in kept if store.logical_id != stored_data.KEY]
    if keys and unreadable:
        raise ConfigurationError(
            f"Without {stored_data.names_of(keys)}, nothing could read the stores that are kept: "
            f"{stored_data.names_of(unreadable)}. Nothing was deleted. Name these stores with --data as well, or leave "
            "the key out."
        )
