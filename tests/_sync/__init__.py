# Derived from tests/_async/__init__.py by scripts/unasync.py: change that file, then run `make fix`.
"""Tests of the asynchronous client; those of the other one, in `tests/_sync`, are derived from them."""
