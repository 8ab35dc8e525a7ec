"""The networks that scaling.py measures and model.py predicts."""
import typing


class Shape(typing.NamedTuple):
    cell: str
    neurons: int     # N
    batch: int       # B, per rank or GPU
    inputs: int = 0  # I; 0: the input is the current u

    def __str__(self):
        """
        >>> str(Shape("rnn", 200, 30))
        'rnn, N 200, B 30'
        """
        return f"{self.cell}, N {self.neurons}, B {self.batch}"


# The shapes of the README's GPU table.
SHAPES = (Shape("rnn", 200, 30), Shape("rnn", 64, 64), Shape("rnn", 1000, 1), Shape("rnn", 1024, 16), Shape("lstm", 200, 30, 40))
