"""Medians and spread of repeated measurements."""
import statistics


def spread(values):
    """Median, lowest and highest.

    >>> spread([3, 1, 2])
    {'median': 2, 'low': 1, 'high': 3, 'repetitions': 3}
    """
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "repetitions": len(values)}


def paired_ratio(numerators, denominators):
    """The spread of the ratios per round. A disturbance in a round affects both.

    >>> paired_ratio([12, 26, 9], [1, 2, 1])["median"]
    12.0
    """
    return spread([n / d for n, d in zip(numerators, denominators)])


def digits(value):
    """Three digits.

    >>> [digits(value) for value in (0, 0.001234, 0.1234, 1.234, 12.34, 123.4, 1234.6)]
    ['0', '0.00123', '0.123', '1.23', '12.3', '123', '1235']
    """
    if value == 0:
        return "0"
    places = 2
    while places < 8 and abs(value) < 10 ** (2 - places):
        places += 1
    while places > 0 and abs(value) >= 10 ** (3 - places):
        places -= 1
    return f"{value:.{places}f}"
