"""Tests that replay recorded exchanges: neither an emulator nor a network is there."""
