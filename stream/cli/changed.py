"""`wardstream changed`: the command's place in the group.

Owns the name. Must not know how it works (stream/cli/audit.py).
"""

from stream.cli.audit import changed as command

__all__ = ["command"]
