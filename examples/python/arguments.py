"""Types of the examples' command-line arguments, for argparse."""
import argparse


def positive_integer(text):
    """An integer, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer, at least 1, got {text!r}")
    return int(text)
