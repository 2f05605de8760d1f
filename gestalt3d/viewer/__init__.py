"""Looking at results: a web page and a picture."""
