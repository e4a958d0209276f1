"""The endpoints: parse, call, render."""
