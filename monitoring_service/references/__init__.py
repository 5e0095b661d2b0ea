"""What windows are compared with: the bundle's reference or an accepted window; judges nothing."""
