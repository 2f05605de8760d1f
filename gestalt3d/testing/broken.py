"""How a check says that a method does not keep the contract."""


class Broken(AssertionError):
    """What a method does that the contract forbids, in one line."""


def expect(holds: bool, otherwise: str) -> None:
    """`Broken`, unless it holds."""
    if not holds:
        raise Broken(otherwise)
