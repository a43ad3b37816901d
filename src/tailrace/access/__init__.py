"""Access: who may ask.

tokens.py   names and hashes of the tokens that let somebody in
http.py     the guard in front of every call: Host, Origin, token or session, and the headers of every answer
"""
