"""Events in, over HTTP or from Kafka, into the inbox and the windows; never judges them."""
