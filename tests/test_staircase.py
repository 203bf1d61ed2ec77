"""Each step of the staircase computes what the definition does."""

import pytest

from benchmarks.staircase import measure
from benchmarks.staircase.__main__ import STEPS


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__.rpartition(".")[2])
def test_a_step_computes_the_definition(step):
    assert measure.difference(step) < 1e-5


def test_a_step_that_errs_is_found_out(monkeypatch):
    step = STEPS[-1]
    right = step.prepare
    monkeypatch.setattr(step, "prepare", lambda x, w, b: right(x, w, b + 0.01))
    assert measure.difference(step) > 1e-5
