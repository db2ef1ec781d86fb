"""Shards that are much smaller than real ones, so that there are many."""

import pytest
from tfx_resampling.core import factor_classes


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(factor_classes, "MIN_SHARD_BYTES", 300)
    monkeypatch.setattr(factor_classes, "MAX_SHARD_BYTES", 3_000)
