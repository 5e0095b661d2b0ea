"""How good the drift verdict is: false alarms without drift, delays and misses with it, beside other rules."""
