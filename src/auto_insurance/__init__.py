"""Auto-Insurance-System: usage-based motor insurance from driving event to premium."""

__version__ = "0.1.0"
