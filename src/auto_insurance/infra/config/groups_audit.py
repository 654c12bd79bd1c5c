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
