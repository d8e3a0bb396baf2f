"""Webhooks: reading the events that Civitai posts, and a receiver for them that can be mounted in any ASGI server.

from civitai_ext.webhooks import Event, Receiver, SQLiteStore

def handle(event: Event) -> None:
print(event)

app = Receiver(handle, secret=os.environ["HOOK_SECRET"], store=SQLiteStore("events.db"))
"""

from civitai_ext.errors import InvalidEvent
from civitai_ext.webhooks.callbacks import callback
from civitai_ext.webhooks.events import Event, parse
from civitai_ext.webhooks.receiver import Receiver
from civitai_ext.webhooks.stores import Added, Begun, Failed, MemoryStore, SQLiteStore, Store, Waiting

__all__ = [
    "Added",
    "Begun",
    "Event",
    "Failed",
    "InvalidEvent",
    "MemoryStore",
    "Receiver",
    "SQLiteStore",
    "Store",
    "Waiting",
    "callback",
    "parse",
]
