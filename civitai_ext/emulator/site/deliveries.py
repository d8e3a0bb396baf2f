"""Downloads of everything but versions: attachments, vault items, transactions, uploads."""

from __future__ import annotations

import csv
import io
from datetime import datetime

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import answer, failed, refuse, site_time
from civitai_ext.emulator.ledger import Transaction
from civitai_ext.emulator.quirks import Quirk
from civitai_ext.emulator.reading import moment, whole_number
from civitai_ext.emulator.routing import REST
from civitai_ext.emulator.site.downloads import is_browser, to_login
from civitai_ext.emulator.site.parameters import Parameters
from civitai_ext.emulator.site.rules import authenticated, caller_of
from civitai_ext.emulator.site.storage import model_file_url, object_url
from civitai_ext.emulator.site.vault import refuse_mistakes
from civitai_ext.emulator.vaults import VaultItem
from civitai_ext.emulator.world import World

_UNITS_AN_HOUR = 60
_ROWS_PER_UNIT = 25_000
# Numbers for the two kinds of transaction that the emulator has; the service's own are not known.
_TRANSACTION_TYPES = {"debit": "1", "credit": "2"}
_COLUMNS = ("date", "id", "type", "amount", "account", "workflow")


async def _attachment(request: Request) -> Response:
    world = World.of(request)
    id_ = whole_number(request.path_params["id"])
    if id_ is None:
        return _attachment_failure(request, 400, "Invalid file id")
    if caller_of(request) is None:
        if is_browser(request):
            return to_login("/articles", world.origin)
        return _attachment_failure(request, 401, "Unauthorized")
    attachment = world.community.attachment_by_id.get(id_)
    if attachment is None:
        return _attachment_failure(request, 404, "File not found")
    return RedirectResponse(object_url(world, "attachment", attachment.id, attachment.name), 307)


def _attachment_failure(request: Request, status: int, message: str) -> Response:
    """Answer with an error: as JSON only to a request that says that its own content is JSON."""
    if Quirk.ATTACHMENT_TEXT not in World.of(request).quirks or "json" in request.headers.get("content-type", ""):
        return answer({"error": message}, status)
    return PlainTextResponse(message, status)


async def _vault_item(request: Request, world: World, caller: Account | None) -> Response:
    read = Parameters(QueryParams([*request.query_params.multi_items(), ("id", request.path_params["id"])]))
    id_ = read.number("id", 0)
    kind = read.choice("type", ("model", "images", "details")) or "model"
    file_id = read.optional_number("fileId")
    refuse_mistakes(world, read)
    vault = world.vaults.of(caller) if caller else None
    item = next((item for item in vault.items.values() if item.id == id_), None) if vault else None
    if caller is None or vault is None or item is None:
        refuse({"error": "Vault item not found"}, 404)
    if not world.vaults.allows_downloads(caller, vault):
        refuse({"error": "You can not download from your vault"}, 403)
    url = _vault_url(world, item, kind, file_id) if world.vaults.status(item) == "Stored" else None
    if url is None:
        refuse({"error": "File not found"}, 404)
    return RedirectResponse(url, 307)


def _vault_url(world: World, item: VaultItem, kind: str, file_id: int | None) -> str | None:
    version = item.version
    stem = f"{version.model.name}-{version.name}"
    if kind == "images":
        return object_url(world, "images", version.id, f"{stem}-images.zip")
    if kind == "details":
        return object_url(world, "details", version.id, f"{stem}-details.pdf")
    files = [file for file in version.files if file_id is None or file.id == file_id]
    return model_file_url(world, files[0]) if files else None


async def _transactions(request: Request, world: World, caller: Account | None) -> Response:
    """Write the caller's Buzz transactions as a table."""
    query = request.query_params
    start, end = _moment(query.get("start")), _moment(query.get("end"))
    accounts = {word for word in query.get("accountTypes", "").split(",") if word}
    type_ = query.get("type", "")
    if type_ and not (type_.isascii() and type_.isdecimal()):
        failed("type must be a number")
    rows = [
        transaction
        for transaction in (caller.ledger.transactions if caller else ())
        if (start is None or transaction.at >= start)
        and (end is None or transaction.at <= end)
        and (not accounts or transaction.account in accounts)
        and (not type_ or _TRANSACTION_TYPES[transaction.type] == type_)
    ]
    probing = "probe" in query
    units = 0 if probing else max(1, -(-len(rows) // _ROWS_PER_UNIT))
    if world.hour.take(f"transactions of user {caller and caller.id}", most=_UNITS_AN_HOUR, amount=units):
        refuse({"error": "You have exported too much, try again later"}, 429)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    writer.writerows(_row(transaction) for transaction in ([] if probing else rows))
    headers = {"Content-Disposition": 'attachment; filename="transactions.csv"'}
    return Response(table.getvalue(), 200, headers, media_type="text/csv")


def _row(transaction: Transaction) -> tuple[str | int, ...]:
    return (
        site_time(transaction.at),
        transaction.id,
        _TRANSACTION_TYPES[transaction.type],
        transaction.amount if transaction.type == "credit" else -transaction.amount,
        transaction.account,
        transaction.workflow_id,
    )


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return moment(text)
    except ValueError:
        failed("not a date")


async def _by_key(request: Request, world: World, caller: Account | None) -> Response:
    """Lead to one of the caller's uploads; the storage keeps nothing else that has a key."""
    stored = world.uploads.objects.get(request.path_params["key"])
    if stored is None or caller is None or stored.owner != caller.id:
        refuse({"error": "File not found"}, 404)
    return RedirectResponse(object_url(world, "upload", stored.key, stored.name), 307)


ROUTES = [
    Route("/api/download/attachments/{id}", _attachment),
    authenticated("/api/download/vault/{id}", _vault_item),
    authenticated("/api/download/user-transactions", _transactions),
    authenticated(f"/api/download/{{key:{REST}}}", _by_key),
]
