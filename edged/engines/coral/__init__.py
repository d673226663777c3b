"""Everything that is the Edge TPU's: its library, its devices, and the child process it runs in."""
