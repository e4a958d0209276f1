"""Read bars from files of other programs. The layout is recognised by the content, not by the name of the file."""
