"""OpenAPI documents: reading, normalising, comparing and correcting them."""
