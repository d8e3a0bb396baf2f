"""Logging in with Civitai, and staying logged in."""
