"""Reading the state of the host without changing it: status, explain, doctor."""
