import sys

import pytest


@pytest.fixture(autouse=True)
def whole_precision_afterwards():
    """The policy is the process's: a training in half precision would leave it to whoever builds a network next."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].mixed_precision.set_global_policy("float32")
