"""Verifies every signature of the messages named on standard input with dkimpy, and says which hold."""

import sys

import dkim

for path in sys.stdin.read().split("\n"):
    if not path:
        continue
    with open(path, "rb") as file:
        message = file.read()
    verifier = dkim.DKIM(message)
    count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
    results = []
    for index in range(count):
        try:
            results.append("pass" if dkim.DKIM(message).verify(idx=index) else "fail")
        except Exception as error:
            results.append("fail:" + repr(error).replace(" ", "_"))
    print(path, *results)
