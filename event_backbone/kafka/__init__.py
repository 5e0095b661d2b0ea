"""Everything about Kafka: access, topics, producer, consumer, wire format; no other room imports its client."""
