"""Layout of a table file (HDF5), shared by the packer and the reader.

Every table::

    /architectures      (A,) fixed-length ASCII    codes of the space; the key, never an index
    /class_of           (A,) int32                 canonical class of each architecture
    /representatives    (K,) int32                 architecture that names each class
    /times              (T,) ASCII                 times since programming
    /accuracy_classes   (C,) ASCII                 what fixes accuracy on a configuration
    /hardware/FIELD     (H,)                       one dataset a field of HardwareConfig
    /cost/NAME          (K, H) or (K,) float32     primary hardware metrics

A table of published accuracies (``nb201``)::

    /score/accuracy     (K, C, T) float32          score labels
    /search/noise_sd    (C, T) float32             standard deviation of the search labels' noise
    /published/NAME     (A,) float32               columns as published

A table of measured accuracies (``hybrid``), with P compressions in front of each cost: (P, K, H) or (P, K).
Accuracy is kept for the G declared cells, D noise draws and S training seeds; where a network was not trained
with a seed, ``/training/valid`` is 0 and the values are NaN, and nowhere else::

    /compression/NAME         (P,)                       weight_bits, sparsity; the first is 8, 0
    /cell/compression         (G,) int16                 position of the cell's compression
    /cell/accuracy_class      (G,) int16                 position of the cell's accuracy class
    /cell/time                (G,) ASCII                 a time, or "": it serves every time
    /score/accuracy           (S, A, G, D) float32       labels on test images, one a draw
    /search/accuracy          (S, A, G, D) float32       labels on validation images, other draws
    /score/accuracy_digital   (S, A) float32             floating point, before coding; also in /search
    /training/seed            (S,) int32                 training seeds; the first, 0, has every network
    /training/valid           (S, A) uint8               1 where the network was trained with that seed
    /training/epoch           (E,) float32               epochs of training at each entry of the curve
    /training/learning_curve  (S, A, E) float32          validation accuracy at each entry
    /training/seconds         (S, A, E) float32          what each entry took beyond the one before
    /training/supernet_seconds (S,) float32              what the shared super-network took; 0: none
    /training/anchor_seconds  (S, A) float32       what a cell's draws take together, however many
    /training/evaluation_seconds (S, A) float32    what all draws of all cells take
    /training/parameters      (A,) int32           all that is trained
    /training/processor       (S, A) ASCII         what trained the network; "" where the log does not say
    /training/parent_processor (S, A) ASCII        what trained that from which it inherits
    /training/evaluation_processor (S, A) ASCII    what evaluated it
    /training/weights_sha256  (S, A) ASCII
    /proxy/NAME               (A,) float32               zero-cost proxies; may be absent
    /proxy_seconds/NAME       (A,) float32               what each took
    /reference/code           (R,) ASCII                 networks also trained alone and long; may be absent
    /reference/seed           (Q,) int32                 training seeds of these
    /reference/accuracy       (R, Q) float32             on test images; NaN where not trained with a seed

Every quantity carries ``unit``, ``direction`` and ``description``; its ``axes`` attribute
names its axes. The root carries ``schema``, ``space``, ``version``, provenance and licences.
"""

from __future__ import annotations

SCHEMA = 1

#: Times since programming [s] that a query may name.
TIMES = {"t0": 0, "60s": 60, "1h": 3_600, "1d": 86_400, "30d": 2_592_000}

#: Root attributes that every table must have.
ROOT_ATTRIBUTES = ("schema", "space", "version", "generator_commit", "libraries", "sources", "licences")
