"""MQTT: the contract's topics and payloads, and a delivery that accounts for every message."""
