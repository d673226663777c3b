"""The whole job tried or measured on this machine: the demo and the benchmark."""
