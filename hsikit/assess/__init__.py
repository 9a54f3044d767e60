"""What a class map is worth: a reference sample drawn from it, and its accuracy and areas with intervals from the answers."""
