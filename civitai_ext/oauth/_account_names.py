"""How the file of an account is called, whatever the account is called. No I/O."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from civitai_ext.errors import InvalidRequest

__all__ = ["account_in", "file_name", "is_hash"]

# No capital letters, since `a` and `A` are one file on some disks; and no letters that have several forms in Unicode.
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.@+")
_SPECIAL: Final = re.compile(r"\.|(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
"""Names that are hidden, or that Windows keeps for devices."""
_LONGEST: Final = 200
_HASH: Final = re.compile(r"~[0-9a-f]{64}")


def file_name(account: str) -> str:
    """Give a name, without suffix, that a file can have on every system, and that no other account has.

    Long names are replaced by a hash of theirs.

    Raises:
        InvalidRequest: It is no name of an account.

    >>> file_name("alice@example.com"), file_name("Work account"), file_name("../x"), file_name("con")
    ('alice@example.com', '%57ork%20account', '%2e.%2fx', '%63on')
    """
    if not isinstance(account, str) or not account.strip():
        raise InvalidRequest(f"account is {account!r}; it takes a name")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in account):
        raise InvalidRequest(f"account is {account!r}, which has characters in it that cannot be printed")
    name = "".join(chr(byte) if byte in _PLAIN else _escaped(byte) for byte in account.encode())
    if _SPECIAL.match(name):
        name = _escaped(ord(name[0])) + name[1:]
    if len(name) > _LONGEST:
        import hashlib

        return f"~{hashlib.sha256(account.encode()).hexdigest()}"
    return name


def account_in(name: str) -> str | None:
    """Give the account whose file is called so, without suffix; None if there is none, or the name does not tell.

    >>> account_in("%57ork%20account"), account_in("%61lice"), account_in("Work account")
    ('Work account', None, None)
    """
    from urllib.parse import unquote

    try:
        account = unquote(name, errors="strict")
        return account if file_name(account) == name else None
    except (UnicodeDecodeError, InvalidRequest):
        return None


def is_hash(name: str) -> bool:
    """Tell whether it is the name for an account whose name is too long."""
    return _HASH.fullmatch(name) is not None


def _escaped(byte: int) -> str:
    return f"%{byte:02x}"
