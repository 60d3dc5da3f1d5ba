"""Layout of a table file (HDF5), shared by the packer and the reader.

::

    /architectures      (A,) fixed-length ASCII    codes of the space; the key, never an index
    /class_of           (A,) int32                 canonical class of each architecture
    /representatives    (K,) int32                 architecture that names each class
    /times              (T,) ASCII                 times since programming
    /accuracy_classes   (C,) ASCII                 what fixes accuracy on a configuration
    /hardware/FIELD     (H,)                       one dataset a field of HardwareConfig
    /score/accuracy     (K, C, T) float32          score labels
    /search/noise_sd    (C, T) float32             standard deviation of the search labels' noise
    /published/NAME     (A,) float32               columns as published
    /cost/NAME          (K, H) or (K,) float32     primary hardware metrics

Every dataset but the keys carries ``unit``, ``direction`` and ``description``; its ``axes`` attribute
names its axes. The root carries ``schema``, ``space``, ``version``, provenance and licences.
"""

from __future__ import annotations

SCHEMA = 1

#: Times since programming [s] that a query may name.
TIMES = {"t0": 0, "60s": 60, "1h": 3_600, "1d": 86_400, "30d": 2_592_000}

#: Root attributes that every table must have.
ROOT_ATTRIBUTES = ("schema", "space", "version", "generator_commit", "libraries", "sources", "licences")
