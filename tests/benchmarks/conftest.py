"""Makes the checkout's ``benchmarks`` importable: it is not part of what is installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
