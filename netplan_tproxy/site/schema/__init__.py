"""The schema of the site file, held against nodes."""
