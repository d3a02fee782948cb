"""Every figure looks as it did: compared with a stored picture within a tolerance."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.report.draw_all import PICTURES, figures, pixels

WITHIN = 0.03
"""Root mean square difference of RGB values (0 to 1); another font rasteriser gives about 0.01, a missing panel 0.1."""


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return dict(figures())


def test_every_figure_has_a_stored_picture_and_none_is_left_over(drawn: dict[str, Figure]) -> None:
    assert {path.stem for path in PICTURES.glob("*.png")} == set(drawn)


@pytest.mark.parametrize("name", sorted(path.stem for path in PICTURES.glob("*.png")))
def test_a_figure_looks_as_it_did(name: str, drawn: dict[str, Figure]) -> None:
    """`make pictures` rewrites them; look at each before committing."""
    stored = np.asarray(matplotlib.image.imread(PICTURES / f"{name}.png"))[:, :, :3]
    found = pixels(drawn[name])
    assert found.shape == stored.shape
    assert float(np.sqrt(np.mean((found - stored) ** 2))) < WITHIN


def test_the_tolerance_would_notice_a_missing_panel(drawn: dict[str, Figure]) -> None:
    whole = pixels(drawn["breakdown"])
    blank = whole.copy()
    blank[: len(blank) // 4] = 1.0
    assert float(np.sqrt(np.mean((whole - blank) ** 2))) > WITHIN
