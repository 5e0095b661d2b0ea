"""Books of what was sent and what was answered, kept on disk by whoever sends."""
