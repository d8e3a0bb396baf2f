"""The clients that may ask for tokens: programs that somebody has registered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.scopes import ALL, FULL

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE)
"""What a client may be allowed to exchange for tokens."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ON_THIS_MACHINE = ("http://127.0.0.1/callback", "http://localhost/callback", "http://[::1]/callback")
_LONGEST_NAME = 128


@dataclass
class Client:
    """A registered program. What it may do can be changed at any time.

    Attributes:
        id: Its `client_id`.
        name: What users read.
        owner: The account that registered it, for which it acts with `client_credentials`.
        secret: Its `client_secret`; a public client has none.
        redirect_uris: Where users may be sent back to; on this machine any port will do.
        grants: What it may exchange for tokens.
        scope: The bits that it may ask for.
        origins: The web pages that may call as this client; made of the redirect URIs unless given.
        first_party: Whether users are never asked to consent.
        enabled: Whether it may be used at all.
        testers: The only accounts that may use it; `None` lets everybody in.
        introspects: Whether it may ask about the tokens of others.

    """

    id: str
    name: str
    owner: Account
    secret: str | None = field(default=None, repr=False)
    redirect_uris: Sequence[str] = ()
    grants: Collection[str] = (AUTHORIZATION_CODE, REFRESH_TOKEN)
    scope: int = FULL
    origins: Collection[str] = ()
    first_party: bool = False
    enabled: bool = True
    testers: Collection[Account] | None = None
    introspects: bool = False

    def __post_init__(self) -> None:
        if not self.id or self.id.startswith("appblk-"):
            raise ValueError(f"{self.id!r} cannot be the id of a client")
        if not 0 < len(self.name) <= _LONGEST_NAME:
            raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
        if unknown := sorted(set(self.grants) - set(GRANTS)):
            raise ValueError(f"there is no grant {' and no '.join(unknown)}; there are {', '.join(GRANTS)}")
        if not 0 <= self.scope <= ALL:
            raise ValueError(f"a scope is a sum of bits, 0 to {ALL}, not {self.scope}")
        for uri in self.redirect_uris:
            if not (_parts(uri) and "#" not in uri):
                raise ValueError(f"{uri!r} is no address to send users back to: scheme, host, path, no fragment")
        self.origins = self.origins or tuple(dict.fromkeys(map(_origin, self.redirect_uris)))

    @property
    def is_public(self) -> bool:
        """Whether it has no secret to prove itself with."""
        return self.secret is None

    def may_send_to(self, uri: str) -> bool:
        """Tell whether users may be sent back to an address."""
        return any(uri == registered or _same_but_for_port(uri, registered) for registered in self.redirect_uris)

    def is_open_to(self, account: Account) -> bool:
        """Tell whether an account may use it."""
        return self.testers is None or account in self.testers


def ready_made(owner: Account) -> dict[str, Client]:
    """Make the clients that are always there; their ids and secrets depend on nothing."""
    return {
        "public": Client(
            "e3a1c0de-0000-4000-8000-000000000001",
            "Emulated public client",
            owner,
            redirect_uris=(*_ON_THIS_MACHINE, "https://app.example/callback"),
        ),
        "confidential": Client(
            "e3a1c0de-0000-4000-8000-000000000002",
            "Emulated confidential client",
            owner,
            secret="5ec2e7" * 8,
            redirect_uris=(*_ON_THIS_MACHINE, "https://app.example/callback"),
            grants=(AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS),
        ),
        "device": Client(
            "emulated-cli",
            "Emulated command line",
            owner,
            redirect_uris=_ON_THIS_MACHINE,
            grants=(AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE),
            scope=ALL,
            first_party=True,
        ),
    }


def _parts(uri: str) -> SplitResult | None:
    """Take an address apart if it is one."""
    if not uri.isprintable() or " " in uri:  # what the parser would drop
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port  # looked at only when it is asked for
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _same_but_for_port(uri: str, registered: str) -> bool:
    """Tell whether an address on this machine is a registered one with another port.

    >>> _same_but_for_port("http://127.0.0.1:5000/callback", "http://127.0.0.1/callback")
    True
    >>> _same_but_for_port("http://localhost:5000/callback", "http://127.0.0.1/callback")
    False
    """
    ours, theirs = _parts(uri), _parts(registered)
    if ours is None or theirs is None or ours.hostname not in _LOOPBACK or "@" in ours.netloc:
        return False
    same = (ours.scheme, ours.hostname, ours.path, ours.query) == (
        theirs.scheme, theirs.hostname, theirs.path, theirs.query,
    )  # fmt: skip
    return same and "#" not in uri
