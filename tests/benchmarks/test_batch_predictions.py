"""The batch model beside an evaluation is asked only of stays that it was not trained on."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def predictions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the benchmark from its folder: benchmarks are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("batch_predictions")


def test_all_rows_of_a_stay_lie_in_one_fold(predictions: Any) -> None:
    """Folds are of stays, in whatever order their rows come, as even as can be, and the same each time."""
    stays = np.random.default_rng(2).permutation(np.repeat(np.arange(100, 203), 7))
    folds = predictions.fold_of(stays)
    assert all(len(np.unique(folds[stays == stay])) == 1 for stay in np.unique(stays))
    sizes = [len(np.unique(stays[folds == fold])) for fold in range(predictions.FOLDS)]
    assert max(sizes) - min(sizes) <= 1
    assert (folds == predictions.fold_of(stays)).all()
