"""A small transparent relay, TCP and UDP: the listener for those who have no proxy of their own."""
