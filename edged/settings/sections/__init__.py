"""The settings, declared: a file a section."""
