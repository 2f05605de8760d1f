"""Single objects of thirteen categories, and pictures of them from which a shape can be learnt."""
