"""Replaces `openapi/orchestration.yaml` by a published revision, and tells what that changes for callers."""
