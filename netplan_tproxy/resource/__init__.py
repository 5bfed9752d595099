"""What a kind of resources is: the values, the contract, and the order."""
