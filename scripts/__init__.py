"""What builds the project: from published documents to `openapi/`, and from there to `generated/`."""
