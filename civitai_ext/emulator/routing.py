"""Paths of any text, as `{name:rest}` in a route: what Starlette calls `path` ends at the end of a line."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

REST = "rest"
"""The name of the converter."""


class _Rest(Convertor[str]):
    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(REST, _Rest())
