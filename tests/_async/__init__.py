"""Tests of the asynchronous client; those of the other one, in `tests/_sync`, are derived from them."""
