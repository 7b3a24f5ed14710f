"""What the deployed template says a resource should be, as far as that can be told without CloudFormation.

Source of the functions: AWS CloudFormation Template Reference, "Intrinsic functions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final


class _Unknown:
    """Known to CloudFormation only, such as an ARN."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
_NO_VALUE: Final = object()
_PLACEHOLDER: Final = re.compile(r"\$\{([^!}][^}]*)\}")


class Template:
    """A processed template with its parameters' values and its resources' physical ids."""

    def __init__(self, body: Mapping[str, Any], parameters: Mapping[str, str], physical: Mapping[str, str]) -> None:
        self._body = body
        self._names = {**physical, **parameters}

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties with everything resolved that can be; the rest is UNKNOWN."""
        resource = self._body.get("Resources", {}).get(logical_id, {})
        resolved: dict[str, Any] = self._resolve(resource.get("Properties", {}))
        return resolved

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in map(self._resolve, value) if one is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = {name: self._resolve(one) for name, one in value.items()}
        return {name: one for name, one in resolved.items() if one is not _NO_VALUE}

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
            left, right = (str(self._resolve(one)) for one in argument)
            return left == right
        if name == "Fn::Not":
            return not self._holds(argument[0])
        return (all if name == "Fn::And" else any)(self._holds(one) for one in argument)


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Return where ``found`` is not what the template wants; what is UNKNOWN has to be there, whatever it is."""
    if wanted is UNKNOWN:
        return [] if found not in (None, "") else [f"{path} is missing"]
    if isinstance(wanted, Mapping):
        present = found if isinstance(found, Mapping) else {}
        return [
            difference
            for name, one in wanted.items()
            for difference in differences(one, present.get(name), f"{path}.{name}" if path else name)
        ]
    if str(wanted) == str(found):
        return []
    return [f"{path} is {found!r}, the template says {wanted!r}" if found is not None else f"{path} is missing"]
