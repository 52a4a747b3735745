"""The report of an evaluation: one HTML page that needs nothing beside itself.

Owns what is drawn (plots.py), said (words.py) and laid out (sections.py, page.py). Must not know how a figure is
computed: everything comes from one `stream.evaluating.shape.Evaluation`, and the same one gives the same page byte for
byte.
"""
