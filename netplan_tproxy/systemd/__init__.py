"""The unit that applies at boot, and systemd-networkd's settings."""
