"""Bars from the files of other programs: the layout is recognised by content, whatever a file is called."""
