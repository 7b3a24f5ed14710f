"""Resolves the properties of resources in the deployed template, as far as possible without CloudFormation.

Source of the functions: AWS CloudFormation Template Reference, "Intrinsic functions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

UNKNOWN: Final = object()
"""A value that only CloudFormation knows, such as an ARN."""
_NO_VALUE: Final = object()
_PLACEHOLDER: Final = re.compile(r"\$\{([^!}][^}]*)\}")


class Template:
    """A processed template with the values of its parameters and the physical ids of its resources."""

    def __init__(self, body: Mapping[str, Any], parameters: Mapping[str, str], physical: Mapping[str, str]) -> None:
        self._body = body
        self._names = {**physical, **parameters}

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties. Values that cannot be resolved are UNKNOWN."""
        resource = self._body.get("Resources", {}).get(logical_id, {})
        resolved: dict[str, Any] = self._resolve(resource.get("Properties", {}))
        return resolved

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = {name: self._resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return _NO_VALUE if argument == "AWS::NoValue" else self._names.get(argument, UNKNOWN)
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self._resolve(then if self._holds(condition) else otherwise)
        if name == "Fn::Sub" and isinstance(argument, str):
            parts = _PLACEHOLDER.findall(argument)
            if all(part in self._names for part in parts):
                return _PLACEHOLDER.sub(lambda match: self._names[match[1]], argument)
        return UNKNOWN

    def _holds(self, condition: Any) -> bool:
        if isinstance(condition, str):
            return self._holds(self._body.get("Conditions", {})[condition])
        ((name, argument),) = condition.items()
        if name == "Condition":
            return self._holds(argument)
        if name == "Fn::Equals":
            left, right = (str(self._resolve(operand)) for operand in argument)
            return left == right
        if name == "Fn::Not":
            return not self._holds(argument[0])
        return (all if name == "Fn::And" else any)(self._holds(operand) for operand in argument)


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return where ``found`` differs from the template, in words. An UNKNOWN value only has to be present."""
    if wanted is UNKNOWN:
        return [] if found not in (None, "") else [f"{path} is missing"]
    if isinstance(wanted, Mapping):
        present = found if isinstance(found, Mapping) else {}
        return [
            difference
            for name, value in wanted.items()
            for difference in differences(value, present.get(name), f"{path}.{name}" if path else name)
        ]
    if str(wanted) == str(found):
        return []
    return [f"{path} is {found!r}, the template says {wanted!r}" if found is not None else f"{path} is missing"]
