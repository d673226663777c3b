"""What edged publishes, whoever publishes it: topics, payloads and their JSON Schema."""
