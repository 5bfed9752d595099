"""What a person or a script reads: reports turned into lines or JSON."""
