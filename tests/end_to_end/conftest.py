"""What pytest needs to know: the fixtures, and the logs of a failed test's programs."""
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from lab import Lab  # noqa: E402
from swarm import Swarm  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than some ten seconds by its nature")
    # The end must tear the children down too.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))


@pytest.fixture
def lab(request):
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    folder = Path(tempfile.mkdtemp(prefix="tbt-e2e-", dir=memory if roomy else None))
    made = Lab(folder)
    request.node.lab = made
    try:
        yield made
    finally:
        troubles = made.close()
        shutil.rmtree(folder, ignore_errors=True)
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def swarm(lab):
    return Swarm(lab)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    lab = getattr(item, "lab", None)
    if report.failed and lab:
        for process in lab.processes:
            report.sections.append(("%s (status %s)" % (process.name, process.process.poll()), process.tail()))
