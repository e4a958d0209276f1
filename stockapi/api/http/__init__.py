"""The common parts of all answers: form, headers, errors, limits, admission control."""
