"""The weekly flow, its report on the data, and offline prediction."""
