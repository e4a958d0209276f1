"""Query parameters, parsed and described."""
