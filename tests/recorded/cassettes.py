"""What of an exchange is kept in a cassette, and how it is written. Everything here gives the same when applied again.

Whichever service was recorded, a cassette names the real hosts, holds no credential and nothing that differs from run
to run, and shows JSON one field a line, so that a change of one field is a change of one line.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

import yaml

TOKEN = "recorded-token"
WRONG_TOKEN = "refused-token"

CREDENTIAL = "credential"
"""The request header that stands for the credential: it says that one was sent, and not which."""

MATCH_ON = ("method", "scheme", "host", "path", "query", "body", CREDENTIAL)
"""What a request must have in common with a recorded one to be given its answer."""

_SITE = "https://civitai.com"
_ORCHESTRATION = "https://orchestration.civitai.com"
_AUTH = "https://auth.civitai.com"

# The secrets in the forms and the answers of the accounts service.
_MASK = "***"
_IN_FORMS = ("client_secret", "code", "code_verifier", "device_code", "refresh_token", "token")
_IN_ANSWERS = ("access_token", "device_code", "id_token", "refresh_token")

# What is not named here is left out: a new header may be a credential, or differ from run to run.
_REQUEST_HEADERS = ("accept", "content-type", "range", CREDENTIAL)
_RESPONSE_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-length",
    "content-range",
    "content-type",
    "location",
    "retry-after",
    "server",
)


def kept_request(request: Any, *, origin: str | None, auth: str | None = None) -> Any:
    """Reduce a request to what is recorded of it and looked at on replay.

    Args:
        request: A request of vcrpy's.
        origin: Where the services were while they were recorded; None on replay.
        auth: The same of the accounts service.
    """
    sent = {name.lower(): value for name, value in request.headers.items()}
    if "authorization" in sent:
        sent[CREDENTIAL] = "sent"
    request.headers = {name: sent[name] for name in _REQUEST_HEADERS if name in sent}
    request.uri = _with_real_hosts(request.uri, origin, auth)
    if request.body:
        request.body = _kept_body(request.body, sent.get("content-type", ""), origin, auth)
    return request


def kept_response(response: dict[str, Any], *, origin: str | None, auth: str | None = None) -> dict[str, Any]:
    """Reduce an answer, as vcrpy describes it, to what is recorded of it; the rest as for `kept_request`."""
    came = {name.lower(): values for name, values in response["headers"].items()}
    body = _kept_body(response["body"]["string"], came.get("content-type", [""])[0], origin, auth)
    if "content-length" in came:
        came["content-length"] = [str(len(body))]
    if "location" in came:
        came["location"] = [_with_real_hosts(value, origin, auth) for value in came["location"]]
    headers = {name: came[name] for name in _RESPONSE_HEADERS if name in came}
    return {"status": response["status"], "headers": headers, "body": {"string": body}}


def same_credential(new: Any, recorded: Any) -> None:
    """Compare whether a credential is sent: a token must neither be left out nor go where it did not go before."""
    now, then = new.headers.get(CREDENTIAL), recorded.headers.get(CREDENTIAL)
    assert now == then, f"the credential is {now or 'not sent'}, and was {then or 'not sent'}"


def _kept_body(body: bytes, media_type: str, origin: str | None, auth: str | None) -> bytes:
    if "x-www-form-urlencoded" in media_type:
        fields = [(name, _MASK if name in _IN_FORMS else value) for name, value in parse_qsl(body.decode())]
        return urlencode(fields, safe="*").encode()
    if "json" not in media_type or not body:
        return body
    data = json.loads(body)
    if isinstance(data, dict):
        data |= {name: _MASK for name in _IN_ANSWERS if name in data}
    lines = json.dumps(data, ensure_ascii=False, indent=2)
    return _with_real_hosts(lines, origin, auth).encode()


def _with_real_hosts(text: str, origin: str | None, auth: str | None) -> str:
    """Put the real hosts in place of the recorded ones; which of the first two it is follows from the path."""
    if auth is not None:
        text = re.sub(rf"{re.escape(auth)}(?!\d)", _AUTH, text)
    if origin is None:
        return text
    text = re.sub(rf"{re.escape(origin)}(?=/v[12]/)", _ORCHESTRATION, text)
    return re.sub(rf"{re.escape(origin)}(?!\d)", _SITE, text)


class Serializer:
    """Reads and writes cassettes. Text of several lines is written as such."""

    @staticmethod
    def deserialize(text: str) -> Any:
        """Read a cassette."""
        return yaml.safe_load(text)

    @staticmethod
    def serialize(cassette: Any) -> str:
        """Write a cassette."""
        return yaml.dump(cassette, Dumper=_Dumper, allow_unicode=True, width=1_000_000)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
