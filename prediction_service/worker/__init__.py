"""Predictions through Kafka: loop, batches, steps, offsets; has no journal."""
