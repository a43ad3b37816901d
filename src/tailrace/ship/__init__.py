"""Shipping: what an agent has on its bus goes to one or more servers, each record once, whatever breaks on the way.

    files -> collector -> bus (the spool) -+-> output -> block -> HTTP -> server A: ledger, bus
                                           +-> output -> block -> HTTP -> server B: ledger, bus

Position. An agent's bus is a log, so how far a server is, is a cursor of that log. The server keeps it: a block is
appended there with the origin ``agent:EPOCH.BRANCH [first, next)``, in the frame that holds its records. An output
keeps no checkpoint. It asks the server where it is (``GET``), goes on from there, and asks again after everything that
went wrong. So a lost answer, a killed agent, a killed server and a request that arrives twice all come to the same: the
server says what it has. A server that has lost its data says so too, and gets what the spool still has.

Rules.
  once       A block says how far its server is, as its output has heard. A server that is elsewhere (a block came
             twice, its data is lost, it is another one behind the same address) refuses it (409), and is asked again.
  verified   With its position the server keeps a mark of the record before it. An agent whose disk was put back to an
             older state (a restored backup, a cloned machine) sees that it has another record there, and ships what
             its spool has under another name: some records may then be there twice, none is left out.
  believed   is only a 200 that says, for this very log, that the block was taken. Anything else is tried again.
  patience   No number of tries and no outage is too long. Waits grow to SHIP_RETRY_S_MAX, vary by chance, and keep to
             ``Retry-After``; a call has a deadline as a whole, so an answer that trickles cannot hold an output.
  apart      Every output has its own thread, connection and cursor. A dead server slows no other.
  full       What every output has taken leaves the spool. When the spool is full the bus refuses, the collector keeps
             what it has read and reads no further: nothing is dropped.
  poison     A block that a server refuses for what is in it (400, 413) is halved until the record is alone. That one
             goes to a file beside the spool (dead.py), the rest is delivered. Other refusals (401, 404, a proxy's
             error page) hold the data, are said, and are tried again; the token and the CA are read anew each time.

Files: ``block.py`` the bytes of a block, ``connection.py`` one call with its deadline, ``output.py`` one server,
``shipping.py`` all of them, ``dead.py`` what no server wants, ``http.py`` the server's side.
"""
