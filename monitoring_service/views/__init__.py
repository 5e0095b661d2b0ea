"""What others see, made from one snapshot: documents and metrics; changes nothing."""
