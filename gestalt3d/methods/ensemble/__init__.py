"""What a method that asks others is made of: looks at a cloud, and the pool of what they answer."""
