"""dlgrade: auto-graded deep learning exercises.

Letters used throughout: N batch, C channels, H W height and width, T time steps or tokens,
E embedding width, D hidden width, K classes, V vocabulary.
"""

__version__ = "0.1.0"
