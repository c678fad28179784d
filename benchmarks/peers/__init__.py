"""How fast is fastnn beside its peers, computing the same thing?

``python -m benchmarks.peers --help``.

Each peer lives in a process of its own (worker.py) behind the same few methods (one ``*_peer.py``
each). problems.py says what is computed, sections.py what is timed and how it is checked, tables.py
how a result reads, publish.py what of it is kept.
"""
