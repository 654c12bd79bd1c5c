"""Risk: expected claim frequency per distance, its score and its reasons."""
