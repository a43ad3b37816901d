"""Every bound of the SDK, unit last in the name, reason beside it."""

KIB = 1024
MIB = 1024 * KIB

BATCH_RECORDS = 1_000
"""Records of one write: large enough that a write costs nothing per record, small enough to be on disk in 5 ms."""
BATCH_BYTES = 1 * MIB
"""A batch of large records is written in pieces of about so many bytes."""
SLICE_RECORDS = 100
"""Records that are encoded before their bytes are counted."""
LOOK_S_MIN = 0.01
"""How soon the writer looks again while records come: what a record waits at most before it can be seen."""
LOOK_S_MAX = 0.08
"""When it found nothing for about twice this long it sleeps until it is woken."""
FLUSH_S = 5.0
"""How long flush and shutdown wait, unless they are told otherwise."""
SPARE_S = 1.0
"""What shutdown may take beyond its time, to put on disk what a server did not take."""
RECORD_CHARACTERS_MAX = 256 * KIB
"""A record that is longer has its texts cut to TEXT_CHARACTERS_MAX: one object too many must not fill a disk."""
TEXT_CHARACTERS_MAX = 8 * KIB
DEPTH_MAX = 12
"""Levels of a value that had to be made plain; what lies deeper becomes its name."""
ITEMS_MAX = 100
"""Items kept of each list, set or mapping that had to be made plain."""
RESULT_CHARACTERS_MAX = 200
"""What a timed function returned is shown up to here."""
KEYS_MAX = 4_096
"""Keys of which is remembered whether they name a secret."""
SHAPES_MAX = 1_024
"""Sets of keys whose plan is remembered; a program has dozens, one that makes up keys must not grow."""

FILE_BYTES_MAX = 100 * MIB
"""A file of the day is set aside when it would become larger."""
FILE_DAYS = 30
"""Files are removed this many days after they were written last."""
FILES_BYTES_MAX = 10 * 1024 * MIB
"""The oldest files are removed when all of a prefix are larger."""
COMPRESS_AFTER_S = 600.0
"""A file that is done is compressed so long after its last write, so that whoever follows it has read it."""
TIDY_S = 60.0
"""How often old files are looked for."""
LOCK_S_MAX = 1.0
"""How long a write waits for another process that holds the lock of the files."""

PUSH_BYTES = 1 * MIB
"""Lines of one push, before compression."""
PUSH_LINGER_S = 0.05
"""How long the first line of a push waits for others."""
PENDING_BYTES_MAX = 8 * MIB
"""Lines that wait in memory for the server; what comes beyond goes to the spool."""
SPOOL_BYTES_MAX = 256 * MIB
"""Bytes of an outage on disk, for one process: hours of a busy program, compressed."""
BLOCK_BYTES = 4 * KIB
"""What the smallest file takes on a disk."""
PUSH_S_MAX = 10.0
"""How long one push may take before it counts as failed."""
BACKOFF_S_MIN = 0.25
BACKOFF_S_MAX = 10.0
"""Between two attempts; doubled each time."""
SPILL_S = 0.5
"""During an outage lines wait so long in memory before they are on disk."""
ADOPT_S = 30.0
"""How often spools of processes that are gone are looked for."""
STDOUT_S_MAX = 0.2
"""How long a write waits for whoever reads standard output, before it counts as failed."""
