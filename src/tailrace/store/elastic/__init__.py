"""Elasticsearch and OpenSearch as a store: what a document is, how it is found, and who is believed.

One engine of search for both servers, from what both have without plugins: no analysers of their own kind, no scripts,
no ``flattened``. ``client.py`` speaks to the cluster, ``mapping.py`` says how it keeps documents, ``document.py`` makes
a batch into documents and back, ``terms.py`` writes what of a record is searched, ``compile.py`` turns a filter into
two queries (records that surely match, and those that may), ``store.py`` is the ``Store``.

A document is the message as it lies in Kafka (docs/formats/kafka.md: names of Elastic's schema, nanoseconds kept) with
an object ``tailrace`` beside it: the place in its log, times as numbers, the stream, and what is searched. Its ``_id``
derives from where the line was read from, and its index from when it happened, so a line that comes again meets itself
whatever has crashed.

The cluster is trusted with finding candidates and with counting what its index tells exactly; what a filter means is
decided by the filter itself, on columns. So records are the same, in the same order, as those of the store on disk.
"""
