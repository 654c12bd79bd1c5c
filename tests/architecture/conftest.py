from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    # `tools` is no installed package; `python -m pytest` finds it, `pytest` alone does not.
    sys.path.insert(0, ROOT)
