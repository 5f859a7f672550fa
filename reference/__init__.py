"""The lesson's components, each written once: one idea per file, read top to bottom.

Exercises are cut from these files, so a docstring here is what a student is asked to fulfil.

Letters used in every shape of this package:

    N batch    C channels    H, W height and width    T time steps or tokens
    E embedding width    D hidden width    K classes    V vocabulary
"""
