"""Reads pairs of pieces of so many samples, 16 bits at 16 kHz: what was said, what was heard. Prints their mean PESQ-WB."""

import sys

import numpy
from pesq import NoUtterancesError, pesq

length = int(sys.argv[1])
samples = numpy.frombuffer(sys.stdin.buffer.read(), "<i2").reshape(-1, 2, length)
scores = []
for said, heard in samples:
    try:
        scores.append(pesq(16_000, said, heard, "wb"))
    except NoUtterancesError:
        pass
print(numpy.mean(scores))
