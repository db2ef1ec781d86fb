"""What chance allows: how far counts of one sample may be from those of another.

No bound of this module is passed by chance more than about once in a million times.
"""

import math

# The logarithm of a likelihood ratio, in nats: twice it is a chi-squared number of one
# degree of freedom (Wilks 1938), which is above 2 * 14 once in eight million times; and
# exp(-14) bounds a tail by Bernstein's inequality to once in 1.2 million.
UNLIKELY = 14.0


def log_likelihood_ratio(count: float, of: float, other: float, of_other: float):
    """Returns G, how much likelier two samples are with two shares than with one.

    G = n KL(k / n, p) + m KL(l / m, p), p = (k + l) / (n + m) their common share
    (Dunning 1993, "Accurate methods for the statistics of surprise and coincidence").

    Args:
      count: k, how many there are in one sample.
      of: n, the size of that sample.
      other: l, how many there are in the other one.
      of_other: m, its size.
    """
    share = (count + other) / (of + of_other)
    parts = [
        (count, of * share),
        (of - count, of * (1 - share)),
        (other, of_other * share),
        (of_other - other, of_other * (1 - share)),
    ]
    return math.fsum(n * math.log(n / expected) for n, expected in parts if n > 0)


def largest_count(count: int, of: int) -> int:
    """Returns how many a second sample of the same size may have where one has `count`.

    It is the most whose `log_likelihood_ratio` to the first is not UNLIKELY.
    """
    low, high = count, of
    while low < high:
        middle = (low + high + 1) // 2
        if log_likelihood_ratio(middle, of, count, of) <= UNLIKELY:
            low = middle
        else:
            high = middle - 1
    return low


def deviation(mean, variance: float, largest: float, count):
    """Returns -log of a bound on the chance that a mean is as large as it is.

    Bernstein's inequality: n t^2 / (2 (v + c t / 3)), of NumPy or TensorFlow numbers.

    Args:
      mean: t > 0, the mean of n independent numbers whose expectation is 0.
      variance: v, of each of them.
      largest: c, no number is larger.
      count: n.
    """
    return count * mean**2 / (2 * (variance + largest * mean / 3))
