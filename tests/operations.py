"""The operations that the published documents describe."""

from __future__ import annotations

import re

import attrs

from tests.documents import document

__all__ = ["Operations"]

_WITH_SLASHES = {"air", "serviceId"}


@attrs.frozen
class Operations:
    """The operations of a document.

    Attributes:
        names: The name of each, by its method and the template of its path.
    """

    names: dict[tuple[str, str], str]

    @classmethod
    def of(cls, name: str) -> Operations:
        """Read them from `openapi/`."""
        paths = document(name)["paths"]
        return cls(
            {
                (verb.upper(), path): operation["operationId"]
                for path, item in paths.items()
                for verb, operation in item.items()
                if isinstance(operation, dict)
            }
        )

    def of_request(self, method: str, path: str) -> str:
        """Give the operation of a request, the most literal path first."""
        fitting = [
            (template.count("{"), name)
            for (verb, template), name in self.names.items()
            if verb == method and re.fullmatch(re.sub(r"\{(\w+)\}", _pattern, template), path)
        ]
        return min(fitting)[1]


def _pattern(parameter: re.Match[str]) -> str:
    return ".+" if parameter[1] in _WITH_SLASHES else "[^/]+"
