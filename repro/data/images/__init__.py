"""What an image classifier is trained on: sources of images, how they are decoded and augmented, and their batches.

A source (:mod:`glyphs`, :mod:`folder`, :mod:`cifar`, :mod:`parquet`; :mod:`locate` opens the one that a recipe names)
is two numbered sets of labelled images. What a run sees is a function of (seed, epoch, index): :mod:`order` numbers
the images of each step, :mod:`augment` changes each, :mod:`batches` serves them as uint8, and :mod:`mixing` does the
rest on the device.
"""
