"""The API described as OpenAPI."""
