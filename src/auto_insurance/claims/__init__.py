"""Claims: first notice of loss, status, amounts, and the telemetry around the loss."""
