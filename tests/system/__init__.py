"""Tests that boot machines and install edged on them."""
