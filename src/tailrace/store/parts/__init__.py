"""The embedded store: immutable parts of Parquet and an exact token index beside each.

Purpose. Keep every record that the bus has given, find any of them by time, stream, level and text in milliseconds,
and leave the data in files that other tools read (DuckDB, pandas, Spark).

Bytes (``docs/formats/parts.md`` has all of them).

    parts/
      lock                    held by the one process that writes here
      manifest                checksum, then JSON: the checkpoint and the live parts with the checksum of each part.json
      manifest.previous       the one before
      7f3a-0-131072/          a part: the records [0, 131072) of log 7f3a; never changed once it has this name
        data.parquet          rows by (stream, time, offset); row groups ("blocks") of BLOCK_ROWS; checksums
        tokens                the sorted distinct tokens and the blocks that hold each; chunks with checksums
        part.json             what is known of each block and stream without reading it, and the sizes of the files
      new-.../                a part being written; worth nothing
      damaged/                parts that were set aside, for a person to look at

Rules.
  write    ``add`` gathers batches in memory, ``flush`` sorts them into one part: written as ``new-...``, every file and
           the directory synced, renamed, and only then named by a new manifest, which moves the checkpoint. Before that
           the records are on the bus alone, and the bus keeps what the checkpoint has not passed.
  merge    Neighbours in the order of the log become one part, streamed block by block; the manifest changes from the
           old ones to the new one in one step.
  read     A snapshot holds references; a part that left the manifest is removed when its last snapshot closes. Blocks
           are chosen by the index and by ``part.json``; of a chosen block only the columns that are asked for are read.
  retain   Whole parts go: when the newest ``observed`` of a part is too old; and the oldest in the log first, when all
           of them are too large.

Crashes. Whatever the moment, the manifest names exactly the parts that are whole, and its checkpoint is their end.
Directories that it does not name are removed when the store is opened. A part whose sizes or checksums are wrong is
moved to ``damaged/`` and an event says so; a search that comes upon one fails with Damaged, it never answers without
saying so. When the manifest itself is damaged, it is made again from the parts that are there.
"""
