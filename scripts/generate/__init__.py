"""Generates `generated/` from `openapi/`."""
