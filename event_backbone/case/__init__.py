"""The case file and what follows from it for records, labels and events; names no column itself."""
