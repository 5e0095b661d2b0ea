"""`train-model serve`: retrains on the newest labelled records on request, one run at a time."""
