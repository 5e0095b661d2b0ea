"""Parts of the OpenAPI documents: what every service answers alike."""
