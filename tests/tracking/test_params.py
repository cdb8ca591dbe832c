from polymlops.config.profiles import validate
from polymlops.tracking.params import flatten


def test_keys_are_those_of_set():
    flat = flatten(validate({"polychromic": {"lambda": 0.1}}))
    assert flat["polychromic.lambda"] == 0.1
    assert flat["data.source.kind"] == "world"
    assert flat["evaluation.ks"] == "[1, 5, 10]"
    assert flat["tracking.uri"] is None
