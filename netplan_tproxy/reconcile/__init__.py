"""From the live kernel to the desired state: diff, transaction, session."""
