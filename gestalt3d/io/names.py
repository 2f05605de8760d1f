"""Names of files as text that can be shown and written."""


def readable(text: str) -> str:
    r"""`text` without the stand-ins by which Python keeps bytes of a name that its locale cannot decode.

    The bytes are read as UTF-8; what is none, such as a name in Latin-1, gets "\ufffd" for each.
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, which a name on Windows may hold
        data = text.encode("utf-8", "replace")
    return data.decode("utf-8", "replace")
