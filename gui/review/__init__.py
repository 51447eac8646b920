"""What waits for a person: a list at the left, what is to be decided at the right. Never modal."""
