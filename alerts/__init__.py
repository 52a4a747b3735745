"""What the ward sees: the lifecycle of an alert, its contract and its ids."""
