"""Puts the fakes where tests and spawned workers can import them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_bench import bench, registered

__all__ = ["bench", "registered"]
