"""Parse and describe query parameters."""
