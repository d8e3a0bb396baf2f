"""The asynchronous half, which is the one that is written: `_sync` is derived from it."""
