"""What is ours in BPF: programs, maps, policy, and where they attach."""
