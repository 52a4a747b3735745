"""How good a score is, in figures: ranking, calibration, thresholds, utility, net benefit, subgroups, and how sure."""
