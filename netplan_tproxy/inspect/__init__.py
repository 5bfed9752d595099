"""Looking without touching: status, explain, doctor."""
