"""Every bound in the system, on one page: the unit is the last word of the name, the reason stands beside it.

Nothing here is an option. A bound that users have a reason to change becomes a setting, and its default stays here.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

# -- memory ----------------------------------------------------------------------------------------------------
HEAP_PIECE_BYTES_MAX = 4 * MIB
"""Larger pieces of memory come from the kernel one by one, and go back when they are freed; blocks are smaller."""
HEAP_FREE_BYTES_MAX = 16 * MIB
"""So much freed memory is kept for what comes next."""

# -- lines and records -----------------------------------------------------------------------------------------
LINE_BYTES_MAX = 16 * MIB
"""A longer line is cut here and marked; one record must never be able to hold the process's memory."""
JSON_DEPTH_MAX = 250
"""Levels of a JSON line: deeper ones could be read but not written again."""
LABELS_MAX = 32
"""Labels of one stream; a stream is who is speaking, not what is said."""
LABEL_BYTES_MAX = 1 * KIB

# -- sources ---------------------------------------------------------------------------------------------------
READ_BYTES = 1 * MIB
"""One read of a followed file: large enough to work on blocks, small enough that a busy file cannot starve others."""
UNPACK_EVERY_BYTES = 4 * MIB
"""The state of a compressed file that is read is kept so often, to go back without beginning again."""
PREFIX_BYTES = 1 * KIB
"""A file is known again by the hash of so many of its first bytes (fewer while it is shorter) ..."""
MARK_BYTES = 256
"""... and of so many before the offset; the same bytes are compared on every read, which finds a rewritten file."""
HOLE_BYTES_MIN = 32
"""NULs in a row that are no text of any encoding but a hole in the file; fewer are part of their line."""
FILES_OPEN_MAX = 8_192
"""Followed files held open (or half of what the process may open); beyond it the longest quiet one is closed."""
PARTIAL_QUIET_S = 8.0
"""A last line without its newline is taken for whole when the file was quiet for so long."""
EVENT_QUIET_S = 1.0
"""Lines that may be the beginning of a longer event are given out when nothing followed for so long ..."""
EVENT_S_MAX = 5.0
"""... or when they have waited so long, whatever follows."""
GENERATIONS_MAX = 32
"""Truncated contents of one path that are remembered though no copy of them was found: one may still come."""
TURNS_AT_ONCE_MAX = 512
"""Files that are read before the kernel is asked again what has changed."""
LOOKS_MAX = 4
"""Looks at the names, one after the other, while they change under it; then what was seen is read."""
GONE_QUIET_S = 90.0
"""A renamed or deleted file is held open until it was quiet for so long: its writer may still have it."""
POLL_S_MIN = 0.02
POLL_S_MAX = 1.0
"""A file is polled at a tenth of the time it has been quiet, within these; inotify only makes it sooner."""
POLL_NOTIFIED_S_MIN = 0.2
"""The first of them for a file that the kernel has reported a change of: it will the next time, too."""
POLL_TOLD_S_MAX = 60.0
"""The longest between two polls of a file on a local file system whose directory is watched: the kernel tells."""
SCAN_S = 1.0
SCAN_NOTIFIED_S = 10.0
"""Globs are matched again so often; the second when the kernel also tells about changes in their directories."""
FIRST_LOOK_S_MAX = 1.0
"""A server that starts waits so long for the first look, to say how many files it follows."""
LISTING_YOUNG_S = 2
"""A directory that changed so recently is listed again: clocks of file systems are coarse."""
SKIPPED_MAX = 1_000
"""Paths of an entry that are matched and left out, with the reason."""
UNPACKED_AT_ONCE_MAX = 8
"""Compressed files that are read at once; each holds a block and states of zlib, about a megabyte."""
WATCHES_MAX = 4_096
"""Directories watched by inotify; others are polled."""
SYSLOG_MESSAGE_BYTES_MAX = 1 * MIB
"""A syslog message that is longer goes on as the next record: a sender cannot hold more of our memory."""
SYSLOG_CONNECTIONS_MAX = 1_024
SYSLOG_BURST_DATAGRAMS = 4_096
"""Datagrams that are received in one go, before connections have their turn."""
SYSLOG_FLUSH_S = 0.005
"""What comes within this time is understood and written together ..."""
SYSLOG_PENDING_BYTES_MAX = 4 * MIB
"""... or so many bytes of it."""
CONTAINER_FILE_BYTES_MAX = 4 * MIB
"""What a container runtime writes about a container, or about all of them."""
JOURNAL_READ_BYTES = 1 * MIB
"""One read of the journal's export stream."""
JOURNAL_ENTRY_BYTES_MAX = 64 * MIB
"""An entry of the journal that is larger is not one."""
JOURNAL_RETRY_S = 1.0
"""When journalctl ends it is started again after so long, behind what was taken."""
LAG_STEP_S = 0.1
LAG_MARKS_MAX = 64
"""Of each file that lags it is remembered when it reached which size: so exactly, and so often."""
PUSH_BYTES_MAX = 64 * MIB
"""A request body after decompression: bounds what a compressed bomb may become."""
PUSH_BATCH_BYTES = 2 * MIB
"""A push is worked off in pieces of this size, so its memory does not grow with the body."""

GATHER_BYTES = 256 * KIB
"""Lines of several files that are gathered before the bus is given any: one frame and one wait for the disk; what has
been gathered goes on before a block that is larger is understood."""
COLLECT_REST = 20
"""After a round in which all files were read to their ends, the collector rests so many times as long as the CPU was
busy with it: files that are written to all the time cost a twentieth of a core ..."""
COLLECT_REST_S_MAX = 0.15
"""... or a round every so often, which takes more lines when there are more."""
COLLECT_RESTED_S_MAX = 1.0
"""So much rest can be had beforehand, while there is nothing to do: neither lines that come one by one nor a round that
was dear for once (a look at all directories, a new layout) keep the next line waiting."""

# -- pipeline --------------------------------------------------------------------------------------------------
DETECT_LINES = 64
"""Lines of a block from which the layout of a stream is found out."""
REDACT_RULES_MAX = 64
"""Rules of one's own in one entry: they are all part of one pattern, which has to stay fast."""
REDACT_PATTERN_BYTES_MAX = 1 * KIB
REDACT_KEYS_MAX = 16_384
"""Names of fields of which is remembered whether they are a secret's; beyond it all are forgotten."""
JSON_SHAPE_ROWS_MIN = 256
"""So many JSON lines of a block have to be alike to be taken apart together: fewer are parsed faster one by one ..."""
JSON_SHAPES_MAX = 8
"""... and so many templates are tried among lines that have as many quotes; the rest is parsed, too."""
STREAM_STATES_MAX = 16_384
"""Streams whose layout and newest time are remembered; the least recently seen is forgotten and found out again."""
PATTERN_BYTES_MAX = 8 * KIB
"""A pattern of somebody's own; RE2 bounds what it becomes."""
GROK_DEPTH_MAX = 16
"""Names of a pattern that use names; the deepest of ours is seven."""

EVENT_LINES_MAX = 2_000
EVENT_BYTES_MAX = 128 * KIB
"""A longer event is cut here and marked: one that is open is read again with what follows, so it must stay well below
READ_BYTES."""

# -- collect ---------------------------------------------------------------------------------------------------
DISCOVER_FILES_MAX = 10_000
DISCOVER_DEPTH_MAX = 6
"""Bounds of a walk through log directories."""
DEMO_FILE_BYTES_MAX = 32 * MIB
"""The demo begins a file again at this size."""
DISCOVER_S = 5.0
"""A log that appears is found so soon; a walk takes milliseconds."""

ENTRIES_MAX = 10_000
"""Entries of a configuration: each is a walk through directories every few seconds."""
CONFIG_BYTES_MAX = 4 * MIB
CONFIG_LOOK_S = 0.5
"""The configuration is read so often; a change applies when it was the same twice, for editors write in pieces."""
COLLECT_FILES_DEFAULT = 100
COLLECT_FILES_MAX = 1_000
"""Files, and entries, that one answer about collecting lists; the totals count all of them."""
CHECK_FILES_SHOWN = 5
"""Files of an entry that `tailrace check` names."""
CHECK_FILES_MAX = 100_000
"""Names of an entry that `tailrace check` looks at."""

# -- etcd ------------------------------------------------------------------------------------------------------
ETCD_CONNECT_S_MAX = 3.0
ETCD_ANSWER_S_MAX = 5.0
"""A member of etcd that takes longer to be reached, or to answer, is away."""
ETCD_RETRY_S_MIN = 0.5
ETCD_RETRY_S_MAX = 15.0
"""etcd is tried again after so long, twice as long each time."""
ETCD_QUIET_S_MAX = 30.0
"""A watch on which nothing was said for so long is begun anew: its connection may be dead. It costs two calls."""
ETCD_KEYS_MAX = 120
ADDRESSES_MAX = 32
"""Keys that an agent reads (etcd takes 128 operations at once), and addresses of its machine in their names."""
REMOTE_BYTES_MAX = 512 * KIB
REMOTE_ENTRIES_MAX = 1_000
ETCD_MESSAGE_BYTES_MAX = 32 * MIB
"""One value that says what is followed (etcd itself takes 1.5 MiB), and the longest answer: all agents at once."""
ETCD_GONE_S_MIN = 5
ETCD_GONE_S_MAX = 3_600
"""The lease of an agent's state: it is gone so long after the agent. Kept alive three times as often."""
SEEN_S = 7 * 86_400
"""That an agent was there is known for so long; machines that come and go do not fill etcd."""
STATE_LOOK_S = 5.0
STATE_STALE_S = 600.0
LAG_STEP_BYTES = 1 * MIB
LAG_STEP_RECORDS = 1_000
"""An agent looks so often whether its state is different, and writes it then, or after so long: etcd keeps every
version until it is compacted. Lags of one power of two are the same; all below these are told as 0."""
STATE_PROBLEMS_MAX = 10
STATE_PROBLEM_CHARACTERS_MAX = 300
AGENTS_LISTED_MAX = 5_000
AGENTS_FRESH_S = 1.0
"""The list of agents is asked of etcd so often at most, however many people look at it."""
AGENT_CALLS_MAX = 16
"""Calls about single agents that wait for etcd."""

# -- bus -------------------------------------------------------------------------------------------------------
BATCH_ROWS_MAX = 65_536
"""Rows of one frame on the bus; also what a reader must be able to hold at once."""
BATCH_BYTES_MIN = 4 * KIB
"""What the objects around even the smallest batch take: thousands of lone lines wait, or stay in the ring."""
APPEND_BYTES_MAX = 32 * MIB
"""Bytes waiting for their commit; beyond it an append waits, which is how back-pressure reaches the sources."""
FRAME_BYTES_MAX = 8 * MIB
"""Queued batches are joined into one frame, and one fdatasync, up to this size."""
LEDGER_EVERY_BYTES = 16 * MIB
"""The ledger of places taken is saved after so many bytes: a start after a crash reads at most that much again."""
SEGMENT_BYTES = 64 * MIB
"""A segment is closed at this size; retention of the bus removes whole segments."""
BUS_BYTES_MAX = 1 * GIB
"""What the bus keeps of what the store already has: so much can a slow tail fall behind without asking the store."""
RING_BYTES_MAX = 24 * MIB
"""Newest batches that the bus keeps decoded, for tails and the indexer that are up to date ..."""
RING_UNREAD_BYTES_MAX = 1 * MIB
"""... or only so many, while nobody is: an agent that catches up needs the memory for reading."""
ORIGINS_MAX = 200_000
"""Places taken that the ledger remembers; the oldest idempotency keys go first, then agents, files never."""
DISK_FREE_BYTES_MIN = 64 * MIB
"""Below this the bus refuses appends, so that the store can still merge and delete."""

# -- kafka -----------------------------------------------------------------------------------------------------
KAFKA_CALL_S_MAX = 10.0
"""What is asked of brokers besides records has so long to be answered."""
KAFKA_RETRY_MS_MAX = 2_000
"""Between two tries to reach a broker that is away."""
KAFKA_LOOK_S = 1.0
"""How far the partitions go is asked so often; so old may be what is known of a topic that nobody watches."""
KAFKA_TOPICS_LOOK_S = 5.0
"""Whether there are more partitions, or a topic was made anew, and where retention stands, is asked so often."""
KAFKA_FETCH_BYTES = 4 * MIB
"""What a broker is asked for at once; twice as much may wait in a reader."""
KAFKA_FETCH_WAIT_MS = 100
"""A broker that has nothing new answers after so long: what else it is asked waits behind that."""
KAFKA_FETCH_ROWS = 8_192
"""Messages that are taken from the client at once."""
KAFKA_READERS_MAX = 4
"""Readers that catch up at once, each a client with threads and twice KAFKA_FETCH_BYTES; others wait their turn."""
KAFKA_READ_S_MAX = 15.0
"""A read that has got nothing in so long says that the brokers are away."""
KAFKA_RING_BYTES_MAX = 32 * MIB
"""Newest batches of all partitions that are kept decoded while somebody follows."""
KAFKA_IDLE_S = 30.0
"""Following goes on for so long when the last one who wanted it has gone: long-polls come and go."""
KAFKA_SOURCES_MAX = 20_000
"""Sources of a partition of which is known how far they are: about 200 bytes each; the longest silent is forgotten."""
KAFKA_REPEATS_MESSAGES = 2_000
"""Whose places are looked at before reading begins: a second of a partition that is busy, 20 ms to read."""
KAFKA_LEDGER_MESSAGES = 20_000
"""So many of the newest messages of each partition tell, at the start, which places are taken."""
KAFKA_CLOCK_S = 300.0
"""Clocks of machines that write may be ahead by so much and still be believed when something is looked up by time."""
KAFKA_APPEND_S_MAX = 30.0
"""An append that no broker has taken in so long fails; whoever sends it tries again."""

# -- ship ------------------------------------------------------------------------------------------------------
SPOOL_BYTES = "2 GB"
"""What an agent keeps on its disk for servers that are away; beyond it reading stops, and nothing is dropped."""
SPOOL_BYTES_MIN = 16 * MIB
SPOOL_SEGMENTS = 16
"""A spool is cut into so many segments (of SEGMENT_BYTES at most): the part that becomes free at once."""
SPOOL_SEGMENT_BYTES_MIN = 1 * MIB
SPOOL_RING_BYTES_MAX = 4 * MIB
"""Newest batches that an agent keeps decoded: its outputs are at the end of the log, or behind by far more."""
BLOCK_READ_BYTES = 1 * MIB
"""What an output takes from the bus for one request: so much is sent again when an answer is lost."""
BLOCK_DECODED_BYTES_MAX = 128 * MIB
"""A block, decoded: the longest line, none of whose bytes is UTF-8, is 64 MiB as text and 22 MiB in ``raw_base64``."""
BLOCK_STREAM_BYTES_MAX = 64 * KIB
"""The labels of one stream of a block: a path may have 4 KiB, and 32 labels of a JSON line 1 KiB each."""
BLOCK_FIELDS_BYTES = 1 * MIB
"""Fields of a block that are looked through at once: parsed, they take ten times the memory."""
BLOCK_NAME_BYTES_MAX = 256
"""The name that an agent's machine gives itself."""
BLOCKS_HELD_BYTES_MAX = 128 * MIB
"""Bodies of blocks that a server holds at once, still compressed; more agents are told to come back."""
BLOCK_RECEIVE_S_MAX = 60.0
"""A block that takes longer to arrive is given up; the agent sends it again."""
AGENTS_SHOWN_MAX = 1_000
"""Agents whose last visit is remembered, for people to see."""
SHIP_CALL_S_MAX = 60.0
"""One call of an agent, from the connection to the last byte of the answer, however slowly its bytes trickle."""
SHIP_CONNECT_S_MAX = 10.0
"""A connection with its TLS handshake."""
SHIP_ANSWER_BYTES_MAX = 64 * KIB
"""The longest answer that an agent reads."""
SHIP_RETRY_S_MIN = 0.25
SHIP_RETRY_S_MAX = 10.0
"""Between tries: doubled from the first to the second, each made up to twice as long by chance. Tries never end."""
SHIP_RETRY_AFTER_S_MAX = 300.0
"""A server may ask for a longer wait (Retry-After), but not for for ever."""
SHIP_BRANCHES_MAX = 100
"""How often the disk of an agent may be put back to an older state."""
SHIP_REST_S = 0.05
"""After a block that was not full an output rests, so that many lone lines become few requests."""
SHIP_END_S_MAX = 1.0
"""A call that is under way when an output ends has so long; what it brings, the server will tell."""
SHIP_DRAIN_S_MAX = 5.0
"""How long an agent that ends goes on delivering to servers that take; the rest waits in the spool."""
SHIP_POSITION_S = 1.0
"""How far a Kafka is, is written to disk so often: what was sent since then is sent again after a crash."""
SHIP_TOPICS_MAX = 1_000
"""Topics that one agent writes to: a template may be filled in with anything that a line says."""
SHIP_SPREAD_ROWS = 1_024
"""Neighbours that go to one partition when they are spread: they compress well."""
SHIP_REQUEST_BYTES = 512 * KIB
"""Messages that travel together, before they are compressed: half of what brokers take unless they are told to."""
SHIP_LARGE_BYTES = 128 * KIB
"""A larger message travels alone: if it is refused for its size, it is known which it was."""
SHIP_MESSAGE_BYTES_MAX = 128 * MIB
"""The longest line, of control characters, which are six as JSON; mostly a topic takes 1 MB, and says so."""
DEAD_BYTES_MAX = 64 * MIB
"""Records that a server refuses for good, kept in a file; when it is full the output waits for a person."""
DEAD_WHY_BYTES_MAX = 1 * KIB

# -- store -----------------------------------------------------------------------------------------------------
BLOCK_ROWS = 8_192
"""Rows of one row group: the unit that the index can skip."""
BLOCK_BYTES_MAX = 8 * MIB
"""A block of long lines ends here: readers and merges hold a few blocks at once."""
PART_ROWS_FLUSH = 131_072
"""The indexer writes a part when so many rows wait ..."""
PART_BYTES_FLUSH = 32 * MIB
"""... or so many bytes ..."""
PART_AGE_FLUSH_S = 20.0
"""... or the oldest has waited so long. Until then they are searched on the bus."""
PART_ROWS_MAX = 4_000_000
"""Merging stops at this size, so that retention can drop a part without keeping half a year for one day."""
PARTS_MERGE_MIN = 6
"""Neighbours of a size that make a merge worthwhile: each row is rewritten about log6(n) times."""
MAINTAIN_S = 60.0
"""Retention looks so often, besides after every flush."""
STORE_EVENTS_MAX = 100
INDEX_READ_BYTES = 4 * MIB
"""What the indexer takes from the bus at once."""
INDEX_LAG_ROWS_MAX = 1_048_576
"""Records that wait for the indexer; beyond it pushes are slowed down, for every search reads all of them ..."""
INDEX_LAG_WAIT_S = 5.0
"""... by so much for each piece of PUSH_BATCH_BYTES at most."""
INDEX_RETRY_S = 5.0
"""Between tries when the disk is full or read-only; the bus keeps what waits."""

# -- indexing into a cluster -----------------------------------------------------------------------------------
BULK_LINES_MAX = 2_500
BULK_BYTES_MAX = 4 * MIB
"""What one bulk request carries, whichever comes first; clusters do not get faster with more."""
BULK_BYTES_MIN = 16 * KIB
"""A cluster that refuses requests for their size gets smaller ones, down to this."""
BULKS_AT_ONCE = 2
"""Requests on their way at once: one is worked off while the next one travels. More processes make more of them."""
INDEXING_BLOCKS_MAX = 3
"""Blocks that are held, on their way or waiting for it; beyond it nothing more is consumed."""
INDEXING_GATHER_S = 0.5
"""Lines that come one by one are gathered for so long: a request costs a cluster more than a line."""
INDEXING_TAKE_MESSAGES = 250
"""Messages that are taken from Kafka's client at once, before their size is looked at."""
INDEXING_FETCH_BYTES = 1 * MIB
"""What Kafka's client fetches from a broker at once; it is compressed, and becomes ten times as much."""
INDEXING_FETCHED_KIB_MAX = 2 * KIB
"""It fetches no more while it holds so much."""
INDEXING_COMMIT_S = 1.0
"""Offsets are committed so often: what was written since then is sent again after a crash, and is there already."""
INDEXING_WAIT_S = 1.0
"""While there is no room a member of a group shows itself so often; each time a message may come with it."""
INDEXING_PAUSE_S = 30.0
"""After waiting so long for room the partitions are paused; a pause throws away what was fetched."""
INDEXING_REVOKE_S_MAX = 10.0
"""A partition that is taken away waits so long for its blocks; meanwhile nobody has it."""
INDEXING_END_S_MAX = 20.0
"""A process that ends waits so long for its blocks: less than systemd (90 s) and Kubernetes (30 s) wait for it."""
INDEXING_OBJECTS_YOUNG_MAX = 100_000
"""Python looks for garbage in cycles when so many objects are new: each message is some, and none is in a cycle."""
INDEXING_SESSION_S = 6.0
"""A member that died has its partitions for so long; brokers let nobody have less, and it costs nothing to be wrong."""
INDEXING_METADATA_S = 10.0
"""Topics and partitions that appear are seen so soon."""
INDEXING_UPKEEP_S = 600.0
"""Old indices are looked for so often."""
BULK_RETRY_S_MIN = 0.25
BULK_RETRY_S_MAX = 10.0
"""Between tries of a request: doubled from the first to the second, each made up to twice as long by chance."""

# -- search ----------------------------------------------------------------------------------------------------
QUERY_BYTES_MAX = 16 * KIB
QUERY_DEPTH_MAX = 64
"""Nesting of one query: the parser and the evaluators recurse."""
SEARCH_LIMIT_DEFAULT = 100
SEARCH_LIMIT_MAX = 1_000_000
SEARCH_SECONDS_MAX = 60.0
"""A search that takes longer stops and says that its answer is not complete."""
SEARCHES_AT_ONCE_MAX = 4
"""More wait in line: each may hold a few decoded blocks per thread."""
ORDERED_STEP_ROWS = 32_768
"""An ordered search without a limit puts out so many rows at a time: what it holds besides the keys of its matches."""
GROUPS_MAX = 100_000
"""Distinct keys of one stats, top or uniq; more is an error that says so."""
SORT_ROWS_MAX = 100_000
"""Records that one sort holds at once; with a limit behind it, it holds a multiple of that."""
STATS_VALUES_MAX = 1_000_000
"""Distinct values that dc and percentiles keep to be exact; more is an error that says so."""
BUCKETS_MAX = 10_000
"""Buckets of one histogram or timechart."""
FIELDS_SAMPLE_ROWS = 10_000
"""Records whose fields are parsed to tell which there are: the newest that match."""
CONTEXT_ROWS_MAX = 1_000

# -- servers over a cluster ---------------------------------------------------------------------------------------
CLUSTER_LOOK_S = 5.0
"""A server asks so often how brokers, indexers and search cluster are: what is shown is not older."""
INDEXERS_STILL_S = 60.0
"""Indexers that are behind and have committed nothing for so long are shown as a problem."""

# -- Elasticsearch and OpenSearch ---------------------------------------------------------------------------------
ELASTIC_CALL_S_MAX = 120.0
"""The longest that a call may take; a search is bounded by SEARCH_SECONDS_MAX before."""
ELASTIC_CONNECT_S_MAX = 5.0
ELASTIC_LOOK_S = 0.05
"""While an answer is waited for, it is looked so often whether anybody still wants it."""
ELASTIC_REST_S = 10.0
"""A node that failed is left alone for so long, while others answer."""
ELASTIC_CONNECTIONS_MAX = 32
"""Connections to one node that wait for the next call."""
ELASTIC_ANSWER_BYTES_MAX = 128 * MIB
"""A page of search is so many rows, each of which may have LINE_BYTES_MAX; a larger answer is asked for in pieces."""
ELASTIC_GZIP_BYTES_MIN = 4 * KIB
"""Smaller requests are not compressed."""
ELASTIC_NAME_CHARS_MAX = 100
ELASTIC_TOKEN_CHARS_MAX = 100
"""Names of fields and tokens of their values are indexed up to here: Lucene cuts what is longer than 255 together."""
ELASTIC_CLAUSES_MAX = 800
ELASTIC_DEPTH_MAX = 12
"""Clauses of one query, and how deep they lie: clusters refuse more than 1,024 clauses, or 20 levels."""
ELASTIC_STREAM_CHARS_MAX = 8_000
"""A stream whose JSON is longer is not indexed as a whole: Lucene takes 32,766 bytes."""
ELASTIC_BULK_BYTES = 8 * MIB
"""One request of many records; clusters take 100 MB."""
ELASTIC_REFRESH_S = 1.0
"""A refresh costs the cluster a segment for each shard: searches within this time share one."""
ELASTIC_KEEP_S = 120
"""A point in time is kept for so long after each page: whoever reads a page may be slow."""
ELASTIC_PAGE_ROWS_FIRST = 500
ELASTIC_PAGE_ROWS_MAX = 5_000
"""Records of one page; clusters give 10,000 ..."""
ELASTIC_PAGE_BYTES = 8 * MIB
"""... or about so many bytes, by the size of those of the page before."""
ELASTIC_GROUPS_PAGE = 10_000
ELASTIC_STREAMS_PAGE = 1_000
"""Groups of one answer, and those with the first and last record of each; clusters take 65,535."""
ELASTIC_DAYS_MAX = 31
"""The indices of so many days are named one by one; of more, all are searched."""
ELASTIC_LOGS_MAX = 10_000
"""Partitions of which the cluster is asked what it has."""
ELASTIC_TOLD_LOGS_MAX = 300
"""Partitions whose ends are part of a query."""
ELASTIC_FUTURE_NS = 2 * DAY_NS
"""A record whose clock is further ahead does not get an index of its own day."""

# -- tail ------------------------------------------------------------------------------------------------------
TAILS_MAX = 20_000
"""Tails that are open at once, unless [quota] says otherwise ..."""
TOKEN_TAILS_MAX = 4_096
"""... and those of one token, so that one cannot have all."""
TAIL_QUEUE_BYTES_MAX = 1 * MIB
"""Frames waiting for one client; beyond it the client is detached and reads the bus at its own pace."""
TAIL_BEHIND_ROWS_MAX = 1_000_000
"""A tail that was live and is further behind skips to now, unless it says otherwise: a person wants to see what is
happening, and what was skipped is counted and can be fetched."""
TAIL_FRAME_BYTES_MAX = 256 * KIB
"""Rows of one frame: a burst becomes several, so that a client's socket never has to hold all of it."""
TAIL_CATCH_UP_ROWS = 4_096
"""Rows of one step of a client that reads for itself; so near to the hub it joins it again."""
TAIL_CATCH_UP_BYTES = 1 * MIB
"""... or so many bytes of the bus: what one step finds may be queued beyond TAIL_QUEUE_BYTES_MAX."""
TAIL_ROUND_BYTES = 4 * MIB
"""Bytes of the bus that the hub works off at once."""
TAIL_ROUNDS_WAIT_BYTES = 32 * MIB
"""Rounds that wait for a view whose past is being read; the batches are shared by all views."""
TAIL_BUS_ROWS_MAX = 262_144
"""Further behind than so many records, a tail asks the store, whose index skips what cannot match."""
TAIL_INLINE_ROWS = 1_024
"""Rows times queries that are evaluated on the event loop (about 2 ms); more go to a thread."""
TAIL_YIELD_TAILS = 512
"""Tails that are handed their frame before other work of the loop gets a turn."""
TOGETHER_QUERIES_MIN = 8
"""So many distinct queries are evaluated together: to cut lines of 20 words into tokens costs what six queries do."""
TOGETHER_MASKS_BYTES = 16 * MIB
"""What is remembered, within one round, of the parts that several queries have: a byte for each row and part."""
TOGETHER_ROWS = 65_536
"""Found rows that are held at once: 40 bytes each beside the records, which queries share unless they have pipes."""
TOGETHER_STREAMS = 4_096
"""Streams of which a query remembers whether they fit it."""
TAIL_LAST_MAX = 100_000
"""Records that ``last=N`` may ask for; a longer past has ``since`` or a search."""
TAIL_STALL_S = 60.0
"""A client that accepts no byte for so long is cut off; it can resume from its cursor."""
TAIL_SEND_BYTES = 64 * KIB
"""Frames that wait are sent together up to this size, and the kernel is asked to buffer about as much."""
TAIL_CONTEXT_MAX = 100
"""Lines before and after a match that ``context=N`` may ask for."""
TAIL_CONTEXT_LOOKBACK_ROWS = 16_384
"""A line further from the match than so many records, of all streams, is not its context: what a tail has to keep, and
what has to be read to begin in the middle (twice as much), stays small ..."""
TAIL_CONTEXT_BYTES_MAX = 8 * MIB
"""... or than so many bytes of messages and fields."""
TAIL_CONTEXT_WAIT_ROWS = 2_048
"""Records without a match are put aside before they are looked through, for most are never needed: so many ..."""
TAIL_CONTEXT_WAIT_BYTES = 1 * MIB
"""... or so many bytes of them."""
TAIL_RARE_TIMES = 5
"""Sampling lets a kind of line pass so many times that it would leave it out: what is rare is what people look for."""
TAIL_RARE_SHAPES_MAX = 2_000
"""Kinds of lines that sampling knows of; older ones are forgotten, and are rare again ..."""
TAIL_RARE_S = 60
"""... and so is what was not met for as long as this."""
TAIL_SECONDS_KEPT = 64
"""Seconds that sampling knows the count of: machines whose clocks differ share a tail."""
TAIL_COUNTS_VALUES_MAX = 100
"""Values of a facet, or patterns, that one frame counts; the rest is counted together."""
SHAPE_CHARS_MAX = 256
"""So much of a message tells its shape."""
REPLAYS_MAX = 32
"""Replays at once, each of which holds REPLAY_PAGES pages; the next is told to come back."""
REPLAY_SPEED_MAX = 1_000
REPLAY_PAGES = 2
"""Pages that a replay has read ahead: one is shown while the next is there or being read."""
REPLAY_PAGE_ROWS_MAX = 4_096
REPLAY_PAGE_ROWS_FIRST = 128
"""Rows of the first page, of which nothing is known; each may have four times as many as the one before ..."""
REPLAY_PAGE_BYTES = 1 * MIB
"""... until its JSON would be larger than about this: the rows of a page follow from the size of the last."""
REPLAY_READS_MAX = 2
"""Pages that are read at once, of all replays: a rare word may take a while, and searches need the cores, too."""
REPLAY_TRIES_MAX = 4
"""So often a page is read again when retention or damage came between; each time the store knows what is left."""
REPLAY_COALESCE_S = 0.025
"""Records that are due within this time are shown together: nobody sees the difference, and a frame costs as much."""
REPLAY_PING_S = 1.0
"""How often a replay says where its clock stands: a pause goes back by so much at most."""
REPLAY_TOKEN_BYTES_MAX = 16 * KIB
"""The longest token of a replay that is looked at: four numbers for each log, so those of 350 partitions at least. What
passes heads of requests (64 KiB here, often 32 in proxies)."""
TOPIC_VIEWERS_MAX = 16
"""Viewers of topics that read at once: each has a connection to the brokers, a thread, and what is fetched ahead."""
TOPIC_MESSAGES = 10_000
"""So many messages at most are looked at in one go: 10 MB of small ones, and some milliseconds."""
TOPIC_SHOWN_BYTES_MAX = 1 * MIB
"""A larger message of a topic is cut and not decoded; brokers refuse them by default."""
TOPIC_PROGRESS_S = 0.5
"""So often a viewer of a topic is told how far it is."""
POLL_WAIT_S_MAX = 60.0
"""The longest that a long-poll waits: under the usual idle time-outs of proxies."""
PING_S = 10.0
"""A sign of life on each tail: under the idle time-outs of proxies, of which the shortest common one is 30 s."""
TAIL_BEATS = 100
"""The pings of all tails are spread over PING_S in so many steps."""
TAIL_MESSAGE_BYTES_MAX = 128 * KIB
"""What the client of a WebSocket may say at once: a query of QUERY_BYTES_MAX, however its JSON is escaped."""
WIRE_PACKET_BYTES_MAX = 128 * KIB
"""One packet between two processes of the server: a query of QUERY_BYTES_MAX, however its JSON is escaped."""
WORKER_TICK_S = 1.0
WORKER_BUSY_SHARE = 0.6
WORKER_BUSY_TICKS = 5
"""A process whose loop takes more than this share of its core for so many ticks gets help, if there is a core."""
WORKER_TAILS_MIN = 200
"""... and has so many streams: of fewer, it is not the delivering that takes the time."""
WORKER_MOVE_MAX = 50
"""Streams that are moved at once (about 3 ms); ten times as many in a tick."""
WORKER_GONE_MAX = 5_000
"""Streams whose end is told in one packet."""
WORKER_IDLE_TICKS = 60
"""A process without tails for so long ends: it takes about 90 MiB."""
COALESCE_MS_MAX = 100
"""Under load, deliveries are gathered for at most so long."""
COALESCE_REST = 4
"""After a delivery the hub rests so many times as long as it took: it takes a fifth of a core, then gathers."""

START_FOUND = "10MB"
"""Of a log that was found, not named, so much of the end is read at first."""

# -- server ----------------------------------------------------------------------------------------------------
PUSHES_AT_ONCE_MAX = 32
"""Each holds one piece of PUSH_BATCH_BYTES, decoded and parsed; more are told to come back."""
PUSH_ARRAY_BYTES_MAX = 16 * MIB
"""A JSON array cannot be worked off in pieces: it becomes objects at once. NDJSON has no such bound."""
PUSH_ZSTD_WINDOW_LOG_MAX = 23
"""8 MiB (as a power of two): what RFC 8878 has every decoder take, and what bounds its memory."""
PUSH_KEY_BYTES_MAX = 200
"""An idempotency key is kept in the bus's ledger."""
PUSH_REJECTED_MAX = 100
"""Broken lines that an answer describes; all are counted."""
SEARCHES_WAITING_MAX = 64
"""Searches in line for a thread; more are told to come back."""
SEARCH_QUEUE_CHUNKS = 8
"""Chunks that a search may be ahead of a client that reads slowly."""
SEARCH_CHUNK_ROWS = 1_000
"""Rows that a search hands over at once."""
FACET_VALUES_MAX = 1_000
"""Values of a field that one answer lists."""
LOGIN_BYTES_MAX = 4 * KIB
SESSION_S = 30 * 86_400
"""Who has logged in is asked again after so long."""
QUOTA_FLOW_BURST_S = 5.0
"""Lines and bytes of tails may come so many seconds' worth at once: a page that is opened asks for a past first."""
QUOTA_SEARCH_BURST_S = 60.0
"""The same of searches: one may take SEARCH_SECONDS_MAX."""
QUOTA_TAILS_RETRY_S = 5.0
"""Nobody knows when a tail will be closed; who got none asks again after so long."""
QUOTA_NAMES_MAX = 10_000
"""Tokens of which is known what they use."""
BREAKER_TIMEOUTS = 3
"""A query that ran out of its time so often ..."""
BREAKER_S = 300.0
"""... within so long is not run for as long: the threads are for those that get an answer."""
BREAKER_QUERIES_MAX = 1_000
"""Queries that ran out of their time and are remembered, about 200 bytes each; each took SEARCH_SECONDS_MAX."""
QUOTA_SETTLE_S = 0.2
"""What a server used is said to the others after so long ..."""
QUOTA_HURRY_S = 0.02
"""... or so long after the last time when half of a lease was used."""
QUOTA_ASK_S_MAX = 0.2
"""Who opens a tail or searches waits no longer for what the others have in use; from Redis it comes in 1 ms."""
QUOTA_BEAT_S = 5.0
"""Open tails are said again so often ..."""
QUOTA_TAILS_S = 15.0
"""... and believed for so long: those of a server that was killed are given back then."""
QUOTA_PAGES_MAX = 500
"""Books that are settled in one round trip: about 10 ms of Redis, which does nothing else meanwhile."""
REDIS_ANSWER_S_MAX = 1.0
"""A Redis that takes longer is gone: leases last about as long."""
REDIS_RETRY_S = 1.0
"""It is looked for again so often."""
LISTEN_BACKLOG = 1_024
"""Connections that wait to be accepted: all clients come back at once when a server starts again."""
STOP_SECONDS_MAX = 5.0
"""After that, a stop no longer waits for clients to take what they were sent."""

# -- command line ----------------------------------------------------------------------------------------------
PIPE_FLUSH_S = 0.1
"""A line from a pipe waits no longer before it is sent."""
PIPE_BATCH_BYTES = 1 * MIB
PIPE_SPOOL_BYTES_MAX = 64 * MIB
"""What a pipe keeps while the server is away; beyond it lines still pass through and are counted as not shipped."""
PIPE_END_S = 10.0
"""How long a pipe that has ended goes on trying to deliver the rest."""
TAIL_RECEIVE_BYTES = 256 * KIB
"""What the command takes from its connection at once: about a frame."""
TAIL_FRAMES_WAITING_MAX = 64
"""Frames that a terminal has not shown yet; then the command reads no more, and the server finds a slow client."""
TAIL_LATE_S = 5.0
"""A line that happened so long before the newest one shown is marked as late."""
TAIL_ORDER_S = 1.0
"""`--order event` holds lines back for so long, to put them in the order in which they happened ..."""
TAIL_ORDER_ROWS_MAX = 100_000
"""... or until so many wait."""
CLI_SPEAKER_COLUMNS_MAX = 24
"""The column of who speaks is as wide as the widest so far, up to so many."""
UI_ROWS_MAX = 50_000
"""Rows that the full-screen view holds; older ones are let go, and can be had again from the server ..."""
UI_BYTES_MAX = 64 * MIB
"""... or so many bytes of them."""
UI_DRAW_S = 0.1
"""The full-screen view takes what came, and draws, so often."""
UI_RATE_S = 3.0
"""The lines per second that it shows are those of so many seconds."""
UI_FILL_ROWS_MAX = 5_000
"""Rows that are fetched for a gap at once; what is more stays a gap."""
UI_TURN_S = 0.05
"""Of each turn it spends so long on taking what came; keys and drawing have the rest."""
UI_CONTEXT_ROWS = 5
"""Lines before and after a record that its details show."""
