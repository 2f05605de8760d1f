"""The synthetic world: shapes, rooms and the scanner that looks at them."""
