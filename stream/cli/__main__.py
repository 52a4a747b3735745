"""`python -m stream.cli`: the command line without its script.

Owns nothing. Must not know anything.
"""

from stream.cli import main

main()
