"""Signals, files, processes and text: nothing of networking."""
