"""A small transparent TCP relay: the listener for those who have no proxy of their own."""
