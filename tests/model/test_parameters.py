"""Catalogue models have as many parameters as their makers publish."""

from __future__ import annotations

import pytest

from simcluster.model.parameters import total
from simcluster.scenario.build import model
from simcluster.scenario.catalogue import look_up, names
from simcluster.scenario.schema import ModelForm

PUBLISHED_BILLIONS = {
    "llama-2-7b": 6.74,
    "llama-2-70b": 68.98,
    "llama-3.1-70b": 70.55,
    "llama-3.1-405b": 405.85,
    "mixtral-8x7b": 46.70,
    "mixtral-8x22b": 140.6,
}


@pytest.mark.parametrize("name", names("model"))
def test_a_catalogue_model_has_its_published_parameters(name: str) -> None:
    found = total(model(ModelForm.model_validate(look_up("model", name))))
    assert found == pytest.approx(PUBLISHED_BILLIONS[name] * 1e9, rel=0.01)
