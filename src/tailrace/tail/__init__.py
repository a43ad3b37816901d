"""The tail: records as they arrive, from any position, on any transport, none missing and none twice.

    hub.py           reads the bus once, evaluates each distinct view once per batch, hands the same bytes to everyone
    group.py         the tails of one view: what waits for them, how it is evaluated
    catchup.py       reads what a tail has missed, from the store and the bus, in steps, in a thread
    evaluate.py      what a query finds in a batch, in chunks that its tails share
    view.py          what is asked besides the query, over batch after batch: context.py sample.py counts.py shapes.py
    subscription.py  one tail as a pure state machine: events in, frames out
    viewer.py        one client of the hub: what is queued for it, and where it stands
    connection.py    thousands of clients outside the web framework: writing, pings, who has stalled, the end
    conversation.py  a tail whose client changes the query, pauses and resumes
    pace.py          one replay as a pure state machine: pages and moments in, frames out
    replay.py        reads the pages of a replay in threads, and puts its frames into the queue of a tail to be
    sse.py poll.py websocket.py  the frames as bytes on three transports
    workers.py worker.py moving.py  more than one core: streams that move to processes which deliver
    words.py         the words of the calls: parameters and answers
    http.py          the routes, and how a connection leaves the web framework

The join rule: a tail reads for itself up to a position at which the hub took it in, and the hub's chunks begin exactly
there. A tail that cannot keep up leaves the hub at the beginning of the chunk that did not fit, and reads on by itself.
"""
