"""Trips: segmentation, detection and aggregation of a device's samples."""
