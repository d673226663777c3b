"""The running daemon: its service, the parts it is assembled from, and the machine it runs on."""
