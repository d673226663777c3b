"""Packets and pictures as they come, before anybody decodes them."""
