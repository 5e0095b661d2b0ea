"""What a process needs of its operating system: logs, locks, files, lifetime; knows no case and no event."""
