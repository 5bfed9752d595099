"""From a site file to a checked, frozen ``Site``."""
