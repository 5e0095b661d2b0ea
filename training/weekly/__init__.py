"""The weekly flow, its report on the data, and predicting offline."""
