"""Settings of the audit log."""

from __future__ import annotations

from pathlib import Path

from auto_insurance.infra.config.groups import Group, setting


class AuditSettings(Group):
    """How often the audit chain is verified and anchored, and where the anchors go."""

    anchor_minutes: int = setting(
        "AUDIT_ANCHOR_MINUTES", 60, "Minutes between two verifications of the audit chain.", ge=1, le=1440
    )
    anchor_file: Path | None = setting(
        "AUDIT_ANCHOR_FILE", None, "File that anchors are added to, on a disk that this machine can't overwrite."
    )
    retention_months: int = setting(
        "AUDIT_RETENTION_MONTHS", 120, "Whole months that the audit log keeps; older ones leave.", ge=12, le=1200
    )
    retention_dir: Path | None = setting(
        "AUDIT_RETENTION_DIR", None, "Directory that a month of the audit log is written to before it leaves."
    )
