"""The worker that Alicorn embeds: one process that runs one application.

The front starts it as ``python /proc/self/fd/3 worker NAME`` with the descriptors and
frames that appserver/PROTOCOL.md describes. The story in order: ``worker`` boots,
``loader`` imports the application, ``statics`` reports its static folders, and one slot
per thread (``channel``, ``lane``) receives requests that ``wsgi`` runs; ``heads`` validates what
the application answers; ``handlers`` keeps signals from interrupting all that; ``frames`` is the
codec's vocabulary.

Standard library only, CPython 3.8 and newer. All modules are imported before the
application is, since the worker then gives up its place in ``sys.path``.
"""
