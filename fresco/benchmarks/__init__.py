"""Open benchmarks, put two together, and cut them into splits.

A benchmark is a folder with three tables, each ``NAME.parquet`` or ``NAME.jsonl``; a column is text unless another type
is given:

``corpus``
    ``_id``, ``title``, ``section`` (heading; empty for the lead), ``text`` (body), ``timestamp``.
``queries``
    ``_id``, ``text``, ``timestamp``, ``task`` (EK, NEK), ``kind`` (explicit, implicit; static for NEK), ``subject``,
    ``relation``, ``answer``, and optionally ``split`` (train, validation, test; one for each subject).
``pools``
    One row for each candidate: ``query-id``, ``corpus-id``, ``label`` (positive, outdated, insufficient, near-topic),
    and optionally, empty or null where it is not known:

    - ``grade`` (integer): how relevant the passage was judged, at least 1 for a positive, at most 0 for the others;
    - ``conflict`` (version, history, cross-document, announced): the kind of conflict of an outdated passage, see
      :class:`fresco.records.Conflict`;
    - ``superseded`` (boolean): whether the passage comes from a revision that is not the newest of its page, or from
      an old snapshot; where it is given for one candidate of a query, it is given for all of them.

Timestamps are ``YYYY-MM-DDThh:mm:ssZ``; ids hold no white space. Beside the tables lies ``README.md``, a dataset card
that declares each table as a configuration, so the same folder is a Hugging Face dataset (there, all three tables must
have one format, because ``datasets`` decides by the first). Every row is checked when it is read; the first wrong one
ends in a :class:`~fresco.errors.FrescoError` that names file, line or row, and field.
"""

from fresco.benchmarks.candidates import read_candidates
from fresco.benchmarks.open import open_benchmark
from fresco.benchmarks.sample import limit_queries
from fresco.benchmarks.splits import combine, select_split

__all__ = ["combine", "limit_queries", "open_benchmark", "read_candidates", "select_split"]
