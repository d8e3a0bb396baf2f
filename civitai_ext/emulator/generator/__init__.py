"""The Generator API v1: jobs, coverage and usage."""
