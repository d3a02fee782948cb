"""Results on disk: read back as they were written, and the same bytes for the same result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simcluster.api import simulate
from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text
from simcluster.timeline.store import pack, unpack
from tests.physics_helpers import EXAMPLE, run_text


@pytest.mark.parametrize("overrides", [(), ("workload.steps=3",), ("cluster.gpu.memory=100 MB",), ("plan=DP128",)])
def test_a_result_is_read_back_as_it_was_written(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    result = run_text(EXAMPLE, *overrides)
    path = tmp_path / "timeline.npz"
    path.write_bytes(pack(result))
    again = unpack(path)
    assert again.as_dict() == result.as_dict()
    if result.timeline is not None:
        assert again.timeline is not None
        assert np.array_equal(again.timeline.finish_s, result.timeline.finish_s)
        assert again.timeline.operations == result.timeline.operations


def test_the_same_scenario_gives_the_same_bytes() -> None:
    one, other = (simulate(compile_text(EXAMPLE, "x.yaml")) for _ in range(2))
    assert pack(one) == pack(other)


def test_a_missing_or_foreign_file_is_the_user_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        unpack(tmp_path / "absent.npz")
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, numbers=np.arange(3))
    with pytest.raises(InputError, match="not a timeline"):
        unpack(foreign)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK but no archive")
    with pytest.raises(InputError):
        unpack(broken)
