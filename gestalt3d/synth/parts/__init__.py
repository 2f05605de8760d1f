"""Single objects in fine-grained parts: chairs, tables, lamps and storage furniture, under PartNet's names."""
