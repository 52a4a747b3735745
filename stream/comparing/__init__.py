"""What two replays of the same stretch told: which alerts came, went or moved from the one to the other, and why.

Owns what `wardstream compare` does. Must not know how a replay is made: it reads what one wrote.
"""
