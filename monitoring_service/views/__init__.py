"""Documents and metrics, made from one snapshot; changes nothing."""
