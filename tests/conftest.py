"""What every test may count on: no weights but those it names, no network, no cache of somebody's own, no deadline."""

import os
import signal

import pytest
from hypothesis import settings

# A shell that starts the tests in the background makes them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("unhurried", deadline=None)  # the speed of a machine is no property of the code
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache that all processes of the test run share; what they start inherits all of it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    os.environ["EMOJIBENCH_CACHE"] = str(shared / "emojibench-cache")
    os.environ["EMOJIBENCH_OFFLINE"] = "1"
    os.environ.pop("EMOJIBENCH_WEIGHTS", None)
