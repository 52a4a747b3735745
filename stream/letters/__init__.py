"""Dead letters, to be worked on: read from either host, grouped by cause, pointed at, driven again.

Owns what `wardstream deadletters` does. Must not know why a message was refused, nor change a letter: letters go by the
retention alone.
"""
