"""The sections of the site file, one file each."""
