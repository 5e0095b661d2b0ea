"""References of windows: the bundle's own, or an accepted window; judges nothing."""
