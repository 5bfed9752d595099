"""Make a Linux host a transparent proxy, declaratively."""

__version__ = "0.1.0"
