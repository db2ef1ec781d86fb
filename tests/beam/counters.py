"""Counters of a Beam job."""


def of(result) -> dict:
    """Returns name -> value of the package's counters, added up over the steps.

    Of runners that know attempted values only, these.
    """
    found = {}
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == "tfx_resampling":
            name = counter.key.metric.name
            found[name] = found.get(name, 0) + counter.result
    return found
