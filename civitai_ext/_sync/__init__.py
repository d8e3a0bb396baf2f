# Derived from civitai_ext/_async/__init__.py by scripts/unasync.py: change that file, then run `make fix`.
"""The asynchronous half, which is the one that is written: `_sync` is derived from it."""
