"""A metric that nothing moves tells operators that all is well."""

from __future__ import annotations

import re
from pathlib import Path

import auto_insurance

SOURCE = Path(auto_insurance.__file__).parent
WAITING = {
    "WEBSOCKET_CONNECTIONS_ACTIVE": "live connections",
}
"""Names of the contract that show 0 until the part that moves them is there."""


def unmoved() -> set[str]:
    """Return the metrics that no code outside of their declaration uses."""
    folder = SOURCE / "infra" / "metrics"
    text = (folder / "definitions.py").read_text()
    declared = set(re.findall(r"^([A-Z_]+) = (?:Counter|Gauge|Histogram)\(", text, re.MULTILINE))
    assert len(declared) > 30
    left_out = {folder / name for name in ("definitions.py", "series.py", "__init__.py", "reference.py")}
    code = "\n".join(path.read_text() for path in sorted(SOURCE.rglob("*.py")) if path not in left_out)
    return {name for name in declared if not re.search(rf"\b{name}\s*(?:\.|[,)])", code)}


def test_every_metric_is_moved() -> None:
    assert unmoved() == WAITING.keys()
