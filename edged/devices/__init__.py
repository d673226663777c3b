"""What is plugged into this machine: cameras and Edge TPUs."""
