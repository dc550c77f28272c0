"""The measurement of stages runs: what it measures changes, and nothing else calls it."""

import subprocess
import sys

from front import HERE


def test_stages_are_measured():
    done = subprocess.run([sys.executable, str(HERE / "bench_stages.py"), "0.001"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "served, hello" in done.stdout and "uploaded by channel, system" in done.stdout
