"""What a run leaves for the next one: the ledger, the journal, the pending change."""
