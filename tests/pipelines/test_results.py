"""Which run's results are read."""

from typing import Any

from ml_metadata.proto import metadata_store_pb2

from pipelines import results


class Store:
    """A metadata store whose newest run began, by the clock, before the others."""

    def get_contexts_by_type(self, kind):
        context = vars(metadata_store_pb2)["Context"]
        return [
            context(
                id=number, name=f"own.{number}", create_time_since_epoch=100 - number
            )
            for number in (1, 3, 2)
        ]


def test_the_newest_run_is_that_of_the_database_not_of_the_clock():
    store: Any = Store()
    assert results._newest_run(store, "own").id == 3
