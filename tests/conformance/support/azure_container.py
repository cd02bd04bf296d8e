"""Makes a container on a blob server: azure_container.py ENDPOINT ACCOUNT KEY NAME. Signed with the account's key."""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request

endpoint, account, key, name = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
path = urllib.parse.urlsplit(endpoint).path
signed_headers = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
to_sign = "PUT" + "\n" * 12 + signed_headers + f"/{account}{path}/{name}\nrestype:container"
signature = base64.b64encode(hmac.digest(base64.b64decode(key), to_sign.encode(), hashlib.sha256)).decode()
headers["Authorization"] = f"SharedKey {account}:{signature}"
headers["Content-Length"] = "0"
request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)
with urllib.request.urlopen(request, timeout=10) as answer:
    assert answer.status == 201, answer.status
