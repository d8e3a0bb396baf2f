"""What there is to see of an emulator, as JSON. Names are those of the Python objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from civitai_ext.emulator.accounts import Account
from civitai_ext.emulator.answers import site_time
from civitai_ext.emulator.blobs import Blob
from civitai_ext.emulator.callbacks import Delivery
from civitai_ext.emulator.clock import Clock
from civitai_ext.emulator.faults import Chaos, Fault
from civitai_ext.emulator.jobs import Job
from civitai_ext.emulator.journal import Exchange
from civitai_ext.emulator.ledger import Transaction
from civitai_ext.emulator.oauth.clients import Client
from civitai_ext.emulator.workflows import Step, Workflow
from civitai_ext.emulator.world import World

Json = dict[str, Any]

BLOBS = "/_emulator/blobs/"
"""Where blobs are seen without a trace in the journal."""


def clock_json(clock: Clock) -> Json:
    """Show the clock."""
    return {"now": site_time(clock.now()), "speed": clock.speed}


def exchange_json(exchange: Exchange) -> Json:
    """Show an entry of the journal."""
    return {
        **{field.name: getattr(exchange, field.name) for field in dataclasses.fields(exchange)},
        "at": site_time(exchange.at),
        "query": [list(pair) for pair in exchange.query],
    }


def account_json(account: Account) -> Json:
    """Show an account, with its API key: it opens nothing but this emulator."""
    return {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "token": account.token,
        "tier": account.tier,
        "balance": dict(account.ledger.balance),
    }


def ledger_json(account: Account) -> Json:
    """Show what moved on an account, oldest first."""
    return {
        "username": account.username,
        "balance": dict(account.ledger.balance),
        "transactions": [_transaction_json(each) for each in account.ledger.transactions],
    }


def _transaction_json(transaction: Transaction) -> Json:
    return {
        "id": transaction.id,
        "type": transaction.type,
        "amount": transaction.amount,
        "account": transaction.account,
        "at": site_time(transaction.at),
        "workflow_id": transaction.workflow_id,
    }


def workflow_json(world: World, workflow: Workflow) -> Json:
    """Show a workflow."""
    return {
        "id": workflow.id,
        "number": workflow.number,
        "username": workflow.account.username,
        "status": workflow.status,
        "external_id": workflow.template.external_id,
        "created_at": site_time(workflow.created_at),
        "cost": workflow.template.bill.total,
        "paid": paid(workflow.transactions),
        "tags": list(workflow.tags),
        "metadata": workflow.metadata,
        "steps": [_step_json(world, step) for step in workflow.steps],
    }


def _step_json(world: World, step: Step) -> Json:
    return {
        "name": step.template.name,
        "type": step.template.type,
        "status": step.status,
        "progress": step.progress,
        "reason": step.blocked_reason or step.reason,
        "cost": step.template.price.total,
        "input": step.input,
        "output": world.workflows.show(step.output),
        "blobs": [_blob_json(blob) for blob in step.blobs],
    }


def _blob_json(blob: Blob) -> Json:
    return {"id": blob.id, "media_type": blob.media_type, "level": blob.level, "content": f"{BLOBS}{blob.id}"}


def job_json(world: World, job: Job) -> Json:
    """Show a job of the Generator API."""
    return {
        "id": job.id,
        "number": job.number,
        "username": job.account.username,
        "type": job.template.kind,
        "event": job.last_event(world.clock.now()).type,
        "created_at": site_time(job.created_at),
        "cost": job.template.price,
        "paid": paid(job.transactions),
        "properties": job.template.properties,
        "blobs": [_blob_json(job.blob)] if job.blob else [],
    }


def paid(transactions: Iterable[Transaction]) -> int:
    """Tell what something has cost in the end, after what was given back."""
    return sum(each.amount if each.type == "debit" else -each.amount for each in transactions)


def fault_json(fault: Fault) -> Json:
    """Show a fault by the arguments that it was made with."""
    return {"id": fault.id, "kind": fault.kind, "hits": fault.hits, "route": fault.route, **given(fault)}


def given(fault: Fault) -> Json:
    """Tell what was said about a fault beside its route."""
    return {
        field.name: value.decode("latin-1") if isinstance(value, bytes) else value
        for field in dataclasses.fields(fault)
        if field.init and field.name not in ("route", "hits", "id", "_seen")
        for value in [getattr(fault, field.name)]
        if value != (field.default_factory() if callable(field.default_factory) else field.default)
        or (field.name == "cut_body" and value is not False)
    }


def chaos_json(chaos: Chaos) -> Json:
    """Show what goes wrong by chance."""
    return {
        "route": chaos.route, "seed": chaos.seed, "rate": chaos.rate, "kinds": list(chaos.kinds), "hits": chaos.hits,
    }  # fmt: skip


def delivery_json(delivery: Delivery) -> Json:
    """Show an attempt to post an event."""
    return {**dataclasses.asdict(delivery), "at": site_time(delivery.at)}


def client_json(client: Client) -> Json:
    """Show an OAuth client, with its secret: it opens nothing but this emulator."""
    return {
        "client_id": client.id,
        "client_secret": client.secret,
        "name": client.name,
        "owner": client.owner.username,
        "redirect_uris": list(client.redirect_uris),
        "grants": list(client.grants),
        "scope": client.scope,
        "first_party": client.first_party,
        "enabled": client.enabled,
    }
