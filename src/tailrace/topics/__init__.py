"""Topics of Kafka as they are: any of them, from anywhere, without leaving a trace.

Whoever looks at a topic joins no group and commits nothing. ``window.py`` says which messages, ``shown.py`` what a
message looks like and which ones a query means, ``viewing.py`` reads for one viewer, ``http.py`` lets people ask.
"""
