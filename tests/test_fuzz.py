"""What the fuzzer asks holds for the seeds that it starts from."""

from __future__ import annotations

import pytest

from fuzz.targets import SEEDS, TARGETS


@pytest.mark.parametrize(("target", "seed"), [(target, seed) for target, seeds in SEEDS.items() for seed in seeds])
def test_a_target_holds_for_its_seeds(target: str, seed: bytes) -> None:
    TARGETS[target](seed)
