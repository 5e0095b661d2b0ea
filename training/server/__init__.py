"""`train-model serve`: retrains on the newest labelled records when it is asked to, one run at a time."""
