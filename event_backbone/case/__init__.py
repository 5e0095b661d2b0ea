"""The case file and the rules that follow from it for records, labels and events; names no column itself."""
