"""Evaluating: from a source to every figure of how well its scores foretold what happened.

Owns the stages of `wardstream evaluate` and what each leaves behind, so that a second call goes on from there. Must not
know how a figure is drawn or worded (`stream.reporting`), nor how a metric is computed (`models`).

    source ─► scores, labels, stays ─► predictions, one file a model ─► figures ─► evaluation.json
              (scores.py)              (predicting.py)                  (measuring.py, parts.py keeps each)
"""
