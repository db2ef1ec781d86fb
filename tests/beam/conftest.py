"""Shards that are much smaller than real ones, so that there are many."""

import pytest
from tfx_resampling.shards import classes


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(classes, "MIN_SHARD_BYTES", 300)
    monkeypatch.setattr(classes, "MAX_SHARD_BYTES", 3_000)
