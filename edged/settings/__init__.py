"""Settings: declared once, loaded from the env file and the environment, shown without secrets."""
