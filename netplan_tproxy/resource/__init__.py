"""What a kind of resources is: the values that flow, the contract, and finding the kinds."""
