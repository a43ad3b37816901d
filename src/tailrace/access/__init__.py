"""Access: who may ask.

tokens.py   names and hashes of the tokens that let somebody in
quota.py    how much each of them may take, and all together
http.py     the guard in front of every call: Host, Origin, token or session, and the headers of every answer
"""
