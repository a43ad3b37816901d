"""``tailrace index``: a consumer group that brings what lies on Kafka into Elasticsearch or OpenSearch.

    Kafka -> group.py -> documents.py -> writing.py -> the cluster
                ^                            |
                +--- settled, in order ------+---> dead.py: what the cluster refuses for what is in it

One thread is the member of the group. It takes messages, turns them into documents, gathers those into **blocks** (one
bulk request each, of any of its partitions) and hands them over; BULKS_AT_ONCE other threads bring each block to the
cluster. Everything that is held is held as blocks, and there are INDEXING_BLOCKS_MAX of them at most.

A document is **settled** when the cluster has written it, or has said that it is there already (409: ``create`` with
an ``_id`` made from the place that the line was read from), or when Kafka has acknowledged its dead letter. A block is
settled when all its documents are. The offset that the group commits for a partition never passes a message that is
not settled. So whatever dies, and whenever: what was not committed is read again, and what was written before is there
already. The index of a document follows from the message alone (its day, and when it was seen), never from the clock;
the same line can therefore not be let in twice by another index.

What the cluster says, and what is done (``answers.py``):

    created, or there already (409)         settled
    429, 5xx of a document                  those are sent again, alone, after a rest that grows
    429, 5xx, no answer at all              the whole request is sent again; both for ever, and it is said
    blocked, closed or missing index,       the same: that is no fault of the document, and a person can mend it
    no right to write, too many shards
    413                                     halves, and requests stay as small from then on; a lone document is poison
    400 for a document                      poison: dead letter with the reason, its bytes and its place

Full: while INDEXING_BLOCKS_MAX blocks are on their way nothing is consumed but a message every INDEXING_WAIT_S, because
only who asks for messages takes part in the group; should that last, the partitions are paused, so that none comes with
it. Kafka keeps what waits.

Rebalance. A partition that is taken away is first let finish: its blocks have INDEXING_REVOKE_S_MAX to be settled, what
is settled then is committed, the rest is the next owner's (whose requests find what ours have written). Partitions that
are lost, because we were away for too long, are forgotten: somebody else has them.

End. SIGTERM: nothing more is consumed, blocks on their way have INDEXING_END_S_MAX, what is settled is committed, the
member leaves its group. A second signal ends the process at once, which costs nothing.

Loss. What Kafka's retention has taken before it was read is counted per start (``lost``) and said.
"""
